//! For those who run it: health and metrics.
//!
//! Counts only; no address, no name and no info-hash leaves here.

use super::App;
use crate::fleet::Fleet;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `GET /healthz`: 200 if every part works, 503 and its name if one does not. A process whose fleet's bus is away goes on
/// serving alone, so that is said, and no failure.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    if let Some(supernode) = &app.supernode
        && supernode.totals().await.is_err()
    {
        return (StatusCode::SERVICE_UNAVAILABLE, "the index fails\n").into_response();
    }
    match app.fleet.as_ref().map(Fleet::status) {
        Some(fleet) if !fleet.connected => {
            let since = fleet.since.elapsed().as_secs();
            format!("ok\nthe fleet's bus is away for {since} s: this process goes on alone\n").into_response()
        }
        _ => "ok\n".into_response(),
    }
}

/// `GET /metrics`: text for Prometheus.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut figures = Figures::default();
    if let Some(tracker) = &app.tracker {
        let udp = &tracker.udp;
        for (name, help, counter) in [
            ("packets", "Packets received.", &udp.received),
            ("connects", "Connection ids given.", &udp.connects),
            ("announces", "Announces answered with peers.", &udp.announces),
            ("scrapes", "Scrapes answered.", &udp.scrapes),
            ("refused", "Requests answered with a reason.", &udp.refused),
            ("dropped", "Packets not answered.", &udp.dropped),
        ] {
            let value = counter.load(Ordering::Relaxed);
            figures.write("counter", &format!("udp_{name}_total"), help, value);
        }
    }
    figures.gauge("requests_held_back", "Requests of addresses that ask too often.", app.pace.held_back());
    if let Some(tracker) = &app.tracker {
        let (passed, dropped) = tracker.swarms.offers();
        figures.gauge("tracker_offers_passed", "Offers of browsers passed to others.", passed);
        figures.gauge(
            "tracker_offers_dropped",
            "Offers of browsers for which there was nobody, or too many.",
            dropped,
        );
        let (swarms, peers) = tracker.swarms.totals();
        figures.gauge("tracker_swarms", "Swarms with a peer.", swarms as u64);
        figures.gauge("tracker_peers", "Peers in all swarms.", peers as u64);
        figures.gauge("tracker_sockets", "Open WebSockets of browsers.", tracker.open_sockets() as u64);
    }
    if let Some(budget) = &app.budget {
        let (spent, options) = (budget.spent(), budget.options());
        figures.gauge(
            "budget_level",
            "What is left: 0 plenty, 1 new load goes to sisters, 2 the bridge rests.",
            budget.level() as u64,
        );
        figures.gauge(
            "budget_day_spent_bytes",
            "Bytes sent since midnight (UTC), by all processes of the fleet.",
            spent.day,
        );
        figures.gauge(
            "budget_month_spent_bytes",
            "Bytes sent since the first of the month (UTC), by all processes of the fleet.",
            spent.month,
        );
        for (name, help, bytes) in [
            ("budget_day_bytes", "Bytes that may be sent in a day.", options.budget_day),
            ("budget_month_bytes", "Bytes that may be sent in a month.", options.budget_month),
            ("budget_memory_bytes", "Memory that the process may take.", options.max_memory),
        ] {
            if let Some(bytes) = bytes {
                figures.gauge(name, help, bytes.0);
            }
        }
    }
    if let Some(planting) = &app.planting {
        figures.gauge("planted_torrents", "Torrents planted on this node.", planting.count() as u64);
    }
    if let Some(bridge) = &app.bridge {
        let webrtc = bridge.counters();
        figures.gauges(
            "webrtc",
            &[
                ("open", "WebRTC connections open now.", webrtc.open),
                ("negotiating", "WebRTC connections opening now.", webrtc.negotiating),
                ("opened", "WebRTC connections that opened.", webrtc.opened),
                ("failed", "WebRTC connections that never opened.", webrtc.failed),
                ("stalls", "Times a sender to a browser waited long for any acknowledgement.", webrtc.stalls),
                ("sent_bytes", "Bytes of datagrams to browsers.", webrtc.bytes_sent),
                ("received_bytes", "Bytes of datagrams of browsers.", webrtc.bytes_received),
                ("dropped", "Datagrams of browsers that found our socket full.", webrtc.receive_drops),
                ("stun", "STUN questions answered.", webrtc.stun_answered),
            ],
        );
    }
    if let Some(utp) = app.bridge.as_ref().and_then(|bridge| bridge.utp()) {
        figures.gauges(
            "utp",
            &[
                ("datagrams_sent", "Datagrams sent over uTP.", utp.datagrams_sent),
                ("received_packets", "Packets of uTP connections received.", utp.packets_received),
                ("sent_bytes", "Payload bytes sent over uTP, again ones not among them.", utp.bytes_sent),
                ("received_bytes", "Payload bytes received over uTP.", utp.bytes_received),
                ("sent_again", "Packets sent again over uTP.", utp.sent_again),
                ("timeouts", "Times nothing came back over uTP for long.", utp.timeouts),
                ("strays", "Packets of no uTP connection.", utp.strays),
            ],
        );
    }
    let mesh = match &app.mesh {
        Some(mesh) => mesh.look().await,
        None => None,
    };
    if let Some((sisters, counters)) = mesh {
        let connected = sisters.iter().filter(|sister| sister.connected);
        figures.gauge("sisters", "Sister nodes that are known.", sisters.len() as u64);
        figures.gauge(
            "sisters_connected",
            "Sister nodes with a proven connection.",
            connected.count() as u64,
        );
        figures.gauges(
            "mesh",
            &[
                ("sent", "Messages to sisters.", counters.sent),
                ("sent_bytes", "Bytes to sisters.", counters.sent_bytes),
                ("received", "Messages of sisters.", counters.received),
                ("received_bytes", "Bytes of sisters.", counters.received_bytes),
                ("sessions", "Proven connections.", counters.sessions),
                ("resumed", "Connections that went on where the last broke off.", counters.resumed),
                ("told", "Peers told to sisters.", counters.told),
                ("gained", "Peers that sisters spoke of.", counters.gained),
                ("lost", "Sisters not heard of for too long.", counters.lost),
                ("bad_proofs", "Proofs that did not hold.", counters.bad_proofs),
                ("bad_receipts", "Receipts that did not hold.", counters.bad_receipts),
                ("malformed", "Messages that broke a rule.", counters.malformed),
                ("without_receipt", "News of torrents without both receipts.", counters.without_receipt),
                (
                    "refused_addresses",
                    "Peers at addresses that are not spoken of.",
                    counters.refused_addresses,
                ),
                ("stale", "Peers older than any may be.", counters.stale),
                ("over_quota", "Peers beyond a sister's quota.", counters.over_quota),
                ("offers_dropped", "Offers beyond a sister's quota.", counters.offers_dropped),
            ],
        );
    }
    if let (Some(fleet), Some(tracker)) = (&app.fleet, &app.tracker) {
        let status = fleet.status();
        let counters = status.counters;
        figures.gauges(
            "fleet",
            &[
                ("connected", "Whether the fleet's bus is there.", u64::from(status.connected)),
                (
                    "processes",
                    "Processes of the fleet that live, this one included.",
                    status.mates as u64 + 1,
                ),
                ("speaks", "Whether this process speaks for the fleet.", u64::from(status.speaks)),
                ("peers", "Peers at other processes of the fleet.", tracker.swarms.at_mates() as u64),
                ("sent", "Messages to the fleet.", counters.sent),
                ("sent_bytes", "Bytes to the fleet.", counters.sent_bytes),
                ("received", "Messages of the fleet.", counters.received),
                ("received_bytes", "Bytes of the fleet.", counters.received_bytes),
                ("malformed", "Messages that could not be read.", counters.malformed),
                ("asked", "Times that something was missing and asked for.", counters.asked),
                ("recited", "Times that everything was told.", counters.recited),
                ("gone", "Processes that went.", counters.gone),
            ],
        );
    }
    if let Some(supernode) = &app.supernode
        && let Ok((torrents, nodes)) = supernode.totals().await
    {
        figures.gauge("index_torrents", "Torrents in the supernode's index.", torrents);
        figures.gauge("index_nodes", "Nodes in the supernode's index.", nodes);
        figures.gauge(
            "feed_refused",
            "Entries of other supernodes' feeds that were not taken.",
            supernode.feed_refused(),
        );
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], figures.0).into_response()
}

/// Figures as Prometheus reads them.
#[derive(Default)]
struct Figures(String);

impl Figures {
    fn write(&mut self, kind: &str, name: &str, help: &str, value: u64) {
        // Writing to a String cannot fail.
        let _ = writeln!(
            self.0,
            "# HELP anatomic_{name} {help}\n# TYPE anatomic_{name} {kind}\nanatomic_{name} {value}"
        );
    }

    fn gauge(&mut self, name: &str, help: &str, value: u64) {
        self.write("gauge", name, help, value);
    }

    /// Those of one part, whose name stands before theirs.
    fn gauges(&mut self, part: &str, figures: &[(&str, &str, u64)]) {
        for (name, help, value) in figures {
            self.gauge(&format!("{part}_{name}"), help, *value);
        }
    }
}
