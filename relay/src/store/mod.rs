//! Torrents' bytes on a disk: files, open handles, resume data.
//!
//! Blocking code for threads of its own; what is stored when is the engine's decision. Whole verified pieces come in,
//! so nothing unverified is ever on the disk under our name. No memory maps: a write that fails says so.

mod error;
mod files;
mod handles;
mod resume;

#[cfg(test)]
mod tests;

pub use error::StoreError;
pub use files::{Files, Stamp};
pub use handles::Handles;
pub use resume::{Resume, resume_path};
