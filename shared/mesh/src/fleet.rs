//! A fleet: several processes that are one node to the world, behind one name and with one key.
//!
//! Without I/O: [`Fleet`] is the state machine of one process, [`message`] what the processes say to each other on a bus that
//! they all trust. Swarms, planted torrents and the bus itself are the driver's. `PROTOCOL.md` describes the wire.
//!
//! - A process tells of its **own peers** only, as they change; each carries its age, so nobody's clock matters.
//! - Everything a process says of its swarms is **numbered**. Who finds a number missing, or meets a process for the first time,
//!   asks it, and it recites everything it has. So a late process, a lost message and a bus that was away are one case.
//! - **Beats** say that a process lives. One that is silent is gone, and with it whoever was reached through it.
//! - What is **spent** of a month's budget is the sum over all processes, those included that are gone.
//! - The **oldest** process speaks for the fleet to sister nodes and supernodes.

pub mod message;
pub mod spent;
mod state;

pub use message::{Message, Planted, ProcessId, Visit};
pub use spent::{Account, Accounts};
pub use state::{Config, Counters, Fleet, Output};

#[cfg(test)]
mod tests;
