//! Peers whose last connection ended before they said a word: the next one goes another way.
//!
//! There are clients that take TCP connections only to close them, since they are told to use uTP. Bounded; forgets at random
//! when it is full.

use super::dial::First;
use anatomic_engine::Transport;
use std::collections::HashSet;
use std::net::SocketAddr;

/// Addresses that are remembered.
const MOST: usize = 4_096;

/// Who was not heard over TCP.
#[derive(Debug, Default)]
pub(super) struct Unheard(HashSet<SocketAddr>);

impl Unheard {
    /// By which way to dial.
    pub(super) fn first(&self, address: SocketAddr) -> First {
        if self.0.contains(&address) { First::Utp } else { First::Tcp }
    }

    /// A connection that we dialled is over; whether anything came over it.
    pub(super) fn ended(&mut self, address: SocketAddr, transport: Transport, heard: bool) {
        match (transport, heard) {
            (Transport::Tcp, false) => {
                if self.0.len() >= MOST
                    && let Some(any) = self.0.iter().next().copied()
                {
                    self.0.remove(&any);
                }
                self.0.insert(address);
            }
            (Transport::Tcp, true) | (Transport::Utp, false) => {
                self.0.remove(&address);
            }
            (Transport::Utp, true) | (Transport::WebRtc, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_says_nothing_over_one_way_is_dialled_by_the_other() {
        let address = |number: u32| SocketAddr::from((number.to_be_bytes(), 1));
        let mut unheard = Unheard::default();
        for (transport, heard, first) in [
            (Transport::Tcp, true, First::Tcp),
            (Transport::Tcp, false, First::Utp),
            (Transport::Utp, true, First::Utp),
            (Transport::Utp, false, First::Tcp),
        ] {
            unheard.ended(address(1), transport, heard);
            assert_eq!(unheard.first(address(1)), first, "{transport:?} {heard}");
        }
        for number in 0..10_000 {
            unheard.ended(address(number), Transport::Tcp, false);
        }
        assert_eq!(unheard.0.len(), MOST);
    }
}
