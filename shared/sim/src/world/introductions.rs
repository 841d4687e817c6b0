//! Data channels that peers bring about: session descriptions are a host and a torrent, and an accepted answer connects.
//!
//! Who offers what to whom is the engines' business.

use super::{Happening, World};
use crate::host::HostId;
use anatomic_engine::{IntroductionKey, Step, TorrentKey};

impl World {
    /// Describes a connection, or makes one of two descriptions.
    #[expect(clippy::indexing_slicing, reason = "a HostId is only made for what exists")]
    pub(super) fn describe(
        &mut self,
        host: HostId,
        introduction: IntroductionKey,
        torrent: TorrentKey,
        step: Step,
    ) {
        let at = self.now + self.hosts[host.0].config.job_time;
        match &step {
            Step::Offer | Step::Answer(_) => {
                let sdp = self.hosts[host.0].up.then(|| format!("{} {}", host.0, torrent.as_u64()));
                self.push(at, Happening::Described { host, introduction, sdp });
            }
            Step::Accept(answer) => {
                let other = answer.split_once(' ').and_then(|(host, torrent)| {
                    let (host, torrent) =
                        (HostId(host.parse().ok()?), TorrentKey::from_u64(torrent.parse().ok()?));
                    self.hosts.get(host.0).is_some_and(|host| host.up).then_some((host, torrent))
                });
                if let Some(other) = other {
                    self.join((host, torrent), other);
                }
            }
            Step::Drop => {}
        }
        self.hosts[host.0].steps.push(step);
    }
}
