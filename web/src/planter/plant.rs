//! Planting: carries out what [`anatomic_mesh::Planter`] wants, and says each step.
//!
//! In what order a torrent is planted, and who replaces a node that fails, is decided there.

use super::Planter;
use super::http::{get, post};
use crate::protocol::Id;
use crate::protocol::network::{Offered, OfferedNode, Step, StepState};
use crate::protocol::planter::{Nodes, Subject};
use crate::protocol::view::View;
use crate::worker::clock;
use anatomic_core::{Magnet, Metainfo};
use anatomic_mesh::api::{NodeEntry, Offer, Planting, paths};
use anatomic_mesh::planter::{self, DEFAULT_NODES, MAX_NODES, Output, Progress, Wish};
use anatomic_mesh::{Listing, UnixTime};
use std::net::IpAddr;
use std::rc::Rc;

impl Planter {
    /// Plants a torrent; the planted magnet, and the supernodes that list it.
    ///
    /// # Errors
    /// What each node and supernode said.
    pub(super) async fn plant(
        self: &Rc<Self>,
        id: &Id,
        subject: Subject,
        supernodes: Vec<String>,
        nodes: Nodes,
    ) -> Result<(String, Vec<String>), String> {
        let identity = self.identity().await?;
        let subject = match subject {
            Subject::Torrent(bytes) => {
                let metainfo = Metainfo::from_torrent(&bytes).map_err(|error| error.to_string())?;
                planter::Subject::Torrent(Box::new(metainfo))
            }
            Subject::Magnet(text) => {
                let magnet = Magnet::parse(&text).map_err(|error| error.to_string())?;
                planter::Subject::Magnet(Box::new(magnet))
            }
        };
        let prefer = {
            let offered = self.offered.borrow();
            let find = |key: &String| offered.iter().find(|node| node.key.to_string() == *key).cloned();
            nodes.first.iter().filter_map(find).collect()
        };
        let count = nodes.count.and_then(|count| usize::try_from(count).ok()).unwrap_or(DEFAULT_NODES);
        let wish = Wish { subject, nodes: count, supernodes, listing: Listing::default(), prefer };
        let mut steps = Steps::default();
        let mut planter = anatomic_mesh::Planter::new(wish, identity, UnixTime(clock::seconds_since_1970()));
        while let Some(output) = planter.poll_output() {
            steps.before(&output);
            self.tell(View::Steps(id.clone(), steps.list.clone()));
            match output {
                Output::AskNodes { supernode, count } => {
                    let mut offer = get::<Offer>(&format!("{supernode}{}?count={count}", paths::NODES)).await;
                    if let Ok(offer) = &mut offer {
                        offer.nodes.retain(|node| !nodes.not.contains(&node.key.to_string()));
                    }
                    planter.handle_offer(&supernode, offer);
                }
                Output::Plant { node, request } => {
                    let planted = post(&format!("{}{}", node.url, paths::PLANT), &*request).await;
                    planter.handle_planted(node.key, planted);
                }
                Output::HandOver { supernode, handover } => {
                    let indexed = post(&format!("{supernode}{}", paths::RECEIPTS), &*handover).await;
                    planter.handle_indexed(&supernode, indexed.map_err(|problem| problem.to_string()));
                }
                Output::Progress(_) => {}
                Output::Done(outcome) => return Ok((outcome.magnet.to_string(), outcome.supernodes)),
                Output::Failed(failure) => return Err(failure.to_string()),
            }
        }
        Err("planting stopped half way".into())
    }

    /// Tells which nodes would take a torrent, as all supernodes that answer say together.
    pub(super) async fn offers(&self, supernodes: Vec<String>) {
        let (mut nodes, mut reasons): (Vec<NodeEntry>, Vec<String>) = (Vec::new(), Vec::new());
        for supernode in &supernodes {
            match get::<Offer>(&format!("{supernode}{}?count={}", paths::NODES, 2 * MAX_NODES)).await {
                Ok(offer) => {
                    for node in offer.nodes {
                        if node.planting != Planting::Off && nodes.iter().all(|known| known.key != node.key) {
                            nodes.push(node);
                        }
                    }
                }
                Err(reason) => reasons.push(format!("{supernode}: {reason}")),
            }
        }
        let error = match (nodes.is_empty(), reasons.is_empty()) {
            (false, _) => None,
            (true, true) => Some("no node takes torrents just now".into()),
            (true, false) => Some(reasons.join("; ")),
        };
        let usual = u32::try_from(DEFAULT_NODES.min(nodes.len())).unwrap_or(1);
        let shown = nodes.iter().take(MAX_NODES).map(offered).collect();
        self.offered.replace(nodes);
        self.tell(View::Offered(Offered { nodes: shown, usual, error }));
    }
}

fn offered(node: &NodeEntry) -> OfferedNode {
    let host = node.url.split_once("://").map_or(node.url.as_str(), |(_, host)| host);
    let mut protocols = Vec::new();
    protocols.extend(node.announce.http.is_some().then_some("HTTP"));
    protocols.extend(node.announce.udp.is_some().then_some("UDP"));
    protocols.extend(node.announce.websocket.is_some().then_some("WebSocket"));
    protocols.extend(node.tcp.is_some().then_some("TCP bridge"));
    OfferedNode {
        key: node.key.to_string(),
        host: host.to_owned(),
        block: node.tcp.map(|tcp| tcp.ip()).or_else(|| ip_of(host)).map(block),
        free: node.free,
        protocols: protocols.into_iter().map(str::to_owned).collect(),
        needs_key: node.planting == Planting::Key,
    }
}

/// The address in `host:port`, if it is one and no name.
fn ip_of(host: &str) -> Option<IpAddr> {
    let bare = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next()?,
        None => host.rsplit_once(':').map_or(host, |(host, _)| host),
    };
    bare.parse().ok()
}

/// The block of addresses that one operator is likely to hold: nodes of different blocks fail apart.
fn block(ip: IpAddr) -> String {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            format!("{a}.{b}.0.0/16")
        }
        IpAddr::V6(ip) => {
            let [a, b, ..] = ip.segments();
            format!("{a:x}:{b:x}::/32")
        }
    }
}

/// The steps so far, as the page shows them.
#[derive(Default)]
struct Steps {
    list: Vec<Step>,
    /// Whom each step is about.
    about: Vec<String>,
    /// Nodes that were asked: when one is asked again, it is told of its sisters.
    asked: Vec<String>,
    /// Nodes that failed and that nobody replaces yet.
    failed: Vec<String>,
}

impl Steps {
    /// Something is about to be done, or was done.
    fn before(&mut self, output: &Output) {
        match output {
            Output::AskNodes { supernode, .. } => {
                self.begin(supernode, format!("Asking {supernode} for nodes"));
            }
            Output::Plant { node, .. } => {
                let url = &node.url;
                let again = self.asked.contains(url);
                self.asked.push(url.clone());
                let text = match (again, self.failed.is_empty()) {
                    (true, _) => format!("Telling {url} which other nodes hold it"),
                    (false, true) => format!("Planting on {url}"),
                    (false, false) => format!("Planting on {url} in place of {}", self.failed.remove(0)),
                };
                self.begin(url, text);
            }
            Output::HandOver { supernode, .. } => {
                self.begin(supernode, format!("Handing the receipts to {supernode}"));
            }
            Output::Progress(progress) => self.progress(progress),
            Output::Done(_) | Output::Failed(_) => {}
        }
    }

    fn progress(&mut self, progress: &Progress) {
        match progress {
            Progress::Offered { supernode, nodes } => {
                let nodes = if *nodes == 1 { "1 node".into() } else { format!("{nodes} nodes") };
                self.end(supernode, StepState::Done, format!("{supernode} offers {nodes}"));
            }
            Progress::SupernodeFailed { supernode, reason } => {
                self.end(supernode, StepState::Failed, format!("{supernode} did not help: {reason}"));
            }
            Progress::Accepted { node, of: (done, wanted) } => {
                self.end(node, StepState::Done, format!("Planted on {node} ({done} of {wanted})"));
            }
            Progress::Refused { node, reason } => {
                self.failed.push(node.clone());
                self.end(node, StepState::Failed, format!("{node} did not take it: {reason}"));
            }
            Progress::Indexed { supernode } => {
                self.end(supernode, StepState::Done, format!("{supernode} lists it"));
            }
        }
    }

    fn begin(&mut self, who: &str, text: String) {
        self.list.push(Step { state: StepState::Doing, text });
        self.about.push(who.to_owned());
    }

    fn end(&mut self, who: &str, state: StepState, text: String) {
        let doing = self.list.iter_mut().zip(&self.about);
        let mut open = doing.filter(|(step, about)| step.state == StepState::Doing && *about == who);
        match open.next() {
            Some((step, _)) => *step = Step { state, text },
            None => {
                self.list.push(Step { state, text });
                self.about.push(who.to_owned());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_ticked_where_it_was_begun() {
        let mut steps = Steps::default();
        steps.begin("http://a", "Planting on http://a".into());
        steps.begin("http://b", "Planting on http://b".into());
        steps.progress(&Progress::Accepted { node: "http://a".into(), of: (1, 2) });
        let states: Vec<_> = steps.list.iter().map(|step| step.state).collect();
        assert_eq!(states, [StepState::Done, StepState::Doing]);
        assert_eq!(steps.list[0].text, "Planted on http://a (1 of 2)");
    }

    #[test]
    fn a_node_that_failed_is_named_when_another_replaces_it() {
        let mut steps = Steps::default();
        steps.begin("http://a", "Planting on http://a".into());
        steps.progress(&Progress::Refused { node: "http://a".into(), reason: "it is full".into() });
        assert_eq!(steps.failed, ["http://a"]);
        assert_eq!(steps.list[0].state, StepState::Failed);
    }

    #[test]
    fn the_block_of_an_address_is_its_first_half() {
        assert_eq!(ip_of("192.0.2.7:8080").map(block).unwrap(), "192.0.0.0/16");
        assert_eq!(ip_of("[2001:db8::1]:80").map(block).unwrap(), "2001:db8::/32");
        assert_eq!(ip_of("node.example:8080"), None);
    }
}
