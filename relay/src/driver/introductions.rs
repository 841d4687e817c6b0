//! Data channels on their way into the session: those that a peer's introduction brings about, and the last step of all.
//!
//! What is offered to whom is the engine's decision; offers that go through a tracker are kept with its socket.

use super::session::Message;
use crate::webrtc::{Endpoint, NegotiationError, Pending, PendingOffer};
use anatomic_engine::{Direction, IntroductionKey, Step, TorrentKey};
use std::collections::HashMap;
use std::time::{Duration, Instant};
use tokio::sync::mpsc::UnboundedSender;

/// The engine gives an offer up before; what is older was described too late for it.
const OFFER_LIFE: Duration = Duration::from_secs(60);

/// Waits until a channel is open and hands it to the session.
pub(crate) async fn enter(
    session: &UnboundedSender<Message>,
    torrent: TorrentKey,
    direction: Direction,
    pending: Result<Pending, NegotiationError>,
) {
    let opened = match pending {
        Ok(pending) => pending.opened().await.map_err(|reason| reason.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match opened {
        Ok(channel) => {
            // A session that is over needs no peers.
            let _ = session.send(Message::Opened { channel, torrent, direction });
        }
        Err(reason) => tracing::debug!(%reason, ?direction, "a negotiation came to nothing"),
    }
}

/// The introductions under way.
pub(super) struct Introductions {
    endpoint: Option<Endpoint>,
    session: UnboundedSender<Message>,
    offers: HashMap<IntroductionKey, (PendingOffer, Instant)>,
}

impl Introductions {
    pub(super) fn new(endpoint: Option<Endpoint>, session: UnboundedSender<Message>) -> Self {
        Self { endpoint, session, offers: HashMap::new() }
    }

    /// Keeps an offer of ours until it is answered or given up.
    pub(super) fn offered(&mut self, introduction: IntroductionKey, offer: PendingOffer) {
        self.offers.retain(|_, (_, made)| made.elapsed() < OFFER_LIFE);
        self.offers.insert(introduction, (offer, Instant::now()));
    }

    /// Does what the engine wants.
    pub(super) fn carry_out(&mut self, introduction: IntroductionKey, torrent: TorrentKey, step: Step) {
        let pending = self.offers.remove(&introduction);
        if step == Step::Drop {
            return;
        }
        let (endpoint, session) = (self.endpoint.clone(), self.session.clone());
        tokio::spawn(async move {
            let described = |sdp: Option<String>, offer: Option<PendingOffer>| {
                // A session that is over wants no description.
                let _ = session.send(Message::Described { introduction, sdp, offer });
            };
            match (step, endpoint, pending) {
                (Step::Offer, Some(endpoint), _) => match endpoint.offer().await {
                    Ok((sdp, offer)) => described(Some(sdp), Some(offer)),
                    Err(error) => {
                        tracing::debug!(%error, "no offer could be made");
                        described(None, None);
                    }
                },
                (Step::Answer(offer), Some(endpoint), _) => match endpoint.answer(&offer).await {
                    Ok((sdp, pending)) => {
                        described(Some(sdp), None);
                        enter(&session, torrent, Direction::Accepted, Ok(pending)).await;
                    }
                    Err(error) => {
                        tracing::debug!(%error, "an offer cannot be answered");
                        described(None, None);
                    }
                },
                (Step::Offer | Step::Answer(_), None, _) => described(None, None),
                (Step::Accept(answer), _, Some((offer, _))) => {
                    let pending = offer.accept_answer(&answer).await;
                    enter(&session, torrent, Direction::Offered, pending).await;
                }
                (Step::Accept(_) | Step::Drop, _, _) => {}
            }
        });
    }
}
