//! What lies behind a node, told to its tabs: how many peers of which kind.
//!
//! Information for people; nothing of the bridge depends on it.

use super::{Bridge, Peers, Side};
use crate::link::Transport;
use anatomic_core::Time;
use anatomic_core::collections::BTreeSet;
use anatomic_wire::extended::BridgeReport;
use std::time::Duration;

/// Reports are at least so far apart.
const INTERVAL: Duration = Duration::from_secs(2);

impl Bridge {
    /// Tells tabs, if something changed and it is time.
    pub(super) fn report(&mut self, now: Time, peers: &mut impl Peers) {
        if now < self.report_at {
            return;
        }
        let mut report = BridgeReport::default();
        // A tab may hold several connections: stripes of one transfer.
        let mut tabs = BTreeSet::new();
        for (key, member) in self.members.iter().filter(|(_, member)| member.counted) {
            let Some(peer) = peers.peer(*key) else { continue };
            match peer.link().transport {
                Transport::Tcp => report.tcp += 1,
                Transport::Utp => report.utp += 1,
                Transport::WebRtc => report.webrtc += u32::from(tabs.insert(peer.peer_id())),
            }
            if member.side == Side::Classic {
                *(if peer.is_seed() { &mut report.seeds } else { &mut report.leeches }) += 1;
            }
        }
        if self.reported.as_ref() == Some(&report) {
            return;
        }
        self.report_at = now + INTERVAL;
        for (key, _) in self.members.iter().filter(|(_, member)| member.side == Side::Browser) {
            if peers.peer(*key).is_some_and(|peer| peer.report(&report)) {
                self.touched.insert(*key);
            }
        }
        self.reported = Some(report);
    }
}
