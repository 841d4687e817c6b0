//! The peers of a torrent, with the path that each one's bytes take.
//!
//! Only those connected; whom a tracker knows besides is for the explanation ([`super::explanation`]).

use crate::protocol::view::{Path, Peer};
use crate::state::words;
use yew::prelude::*;

/// Draws the list.
pub fn peers(peers: &[Peer]) -> Html {
    if peers.is_empty() {
        return html! { <p class="hint">{ "Nobody connected." }</p> };
    }
    html! { <ul class="peers">{ for peers.iter().map(peer) }</ul> }
}

fn peer(peer: &Peer) -> Html {
    let (transport, badge) = match peer.path {
        Path::Direct => ("webrtc", "Direct"),
        Path::Node(_) => ("bridge", "Node"),
    };
    let mut speeds = Vec::new();
    if peer.down > 0 {
        speeds.push(format!("↓ {}", words::speed(peer.down)));
    }
    if peer.up > 0 {
        speeds.push(format!("↑ {}", words::speed(peer.up)));
    }
    if speeds.is_empty() {
        speeds.push(idle(peer));
    }
    let name = if peer.client.is_empty() { "Unknown program" } else { &peer.client };
    html! {
        <li data-transport={transport}>
            <span class={classes!("badge", transport)}>{ badge }</span>
            <span class="who"><strong>{ name }</strong><span class="hint">{ words::path(peer.path) }</span></span>
            <span class="rates">{ speeds.join(" · ") }</span>
            <span class="has" title="How much of the torrent it has">{ words::percent((peer.has * 1000.0) as u64, 1000) }</span>
        </li>
    }
}

fn idle(peer: &Peer) -> String {
    match (peer.wanted, peer.choking, peer.interested) {
        (true, true, _) => "it is busy with others".into(),
        (true, false, _) if peer.late => format!("late with {} blocks", peer.asked),
        (true, false, _) if peer.asked == 0 => "idle".into(),
        (true, false, _) => format!("asked for {} blocks", peer.asked),
        (false, _, true) => "waits for pieces of ours".into(),
        (false, _, false) => "idle".into(),
    }
}
