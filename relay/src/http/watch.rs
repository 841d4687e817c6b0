//! For those who run it: health and metrics.
//!
//! Counts only; no address, no name and no info-hash leaves here.

use super::App;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// `GET /healthz`: 200 if every part works, 503 and its name if one does not.
pub async fn health(State(app): State<Arc<App>>) -> Response {
    if let Some(supernode) = &app.supernode
        && supernode.totals().await.is_err()
    {
        return (StatusCode::SERVICE_UNAVAILABLE, "the index fails\n").into_response();
    }
    "ok\n".into_response()
}

/// `GET /metrics`: text for Prometheus.
pub async fn metrics(State(app): State<Arc<App>>) -> Response {
    let mut text = String::new();
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
            let _ = writeln!(
                text,
                "# HELP anatomic_udp_{name}_total {help}\n# TYPE anatomic_udp_{name}_total counter\nanatomic_udp_{name}_total {value}"
            );
        }
    }
    let mut gauge = |name: &str, help: &str, value: u64| {
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "# HELP anatomic_{name} {help}\n# TYPE anatomic_{name} gauge\nanatomic_{name} {value}"
        );
    };
    if let Some(tracker) = &app.tracker {
        let (swarms, peers) = tracker.swarms.totals();
        gauge("tracker_swarms", "Swarms with a peer.", swarms as u64);
        gauge("tracker_peers", "Peers in all swarms.", peers as u64);
        gauge("tracker_sockets", "Open WebSockets of browsers.", tracker.open_sockets() as u64);
    }
    if let Some(planting) = &app.planting {
        gauge("planted_torrents", "Torrents planted on this node.", planting.count() as u64);
    }
    if let Some(supernode) = &app.supernode
        && let Ok((torrents, nodes)) = supernode.totals().await
    {
        gauge("index_torrents", "Torrents in the supernode's index.", torrents);
        gauge("index_nodes", "Nodes in the supernode's index.", nodes);
    }
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}
