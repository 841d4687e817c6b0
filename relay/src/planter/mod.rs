//! Plants: carries out what `anatomic_mesh::Planter` asks for, over HTTP.
//!
//! Decides nothing of the protocol; says how far it is.

use crate::node::client::{self, ask, post};
use crate::node::clock;
use anatomic_mesh::api::{Handover, Indexed, Offer, PlantRequest, Planted, paths};
pub use anatomic_mesh::planter::{Failure, Outcome};
use anatomic_mesh::planter::{Output, Progress, Wish};
use anatomic_mesh::{Identity, Key, Planter};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// An answer that came back.
enum Answer {
    Offer(String, Result<Offer, String>),
    Planted(Key, Result<Planted, String>),
    Indexed(String, Result<Indexed, String>),
}

/// Plants; `progress` hears of every step.
///
/// # Errors
/// What each supernode and node said, if none took the torrent.
pub async fn plant(
    wish: Wish,
    identity: Identity,
    mut progress: impl FnMut(Progress),
) -> Result<Outcome, Failure> {
    let client =
        client::new(PATIENCE).map_err(|reason| Failure { reasons: vec![("this machine".into(), reason)] })?;
    let mut planter = Planter::new(wish, identity, clock::now());
    let mut requests = JoinSet::new();
    loop {
        while let Some(output) = planter.poll_output() {
            let client = client.clone();
            match output {
                Output::AskNodes { supernode, count } => drop(requests.spawn(async move {
                    let url = format!("{supernode}{}?count={count}", paths::NODES);
                    let offer = ask(client.get(url)).await;
                    Answer::Offer(supernode, offer)
                })),
                Output::Plant { node, request } => drop(requests.spawn(async move {
                    let planted =
                        post::<PlantRequest, _>(&client, &format!("{}{}", node.url, paths::PLANT), &request)
                            .await;
                    Answer::Planted(node.key, planted)
                })),
                Output::HandOver { supernode, handover } => drop(requests.spawn(async move {
                    let url = format!("{supernode}{}", paths::RECEIPTS);
                    let indexed = post::<Handover, _>(&client, &url, &handover).await;
                    Answer::Indexed(supernode, indexed)
                })),
                Output::Progress(step) => progress(step),
                Output::Done(outcome) => return Ok(*outcome),
                Output::Failed(failure) => return Err(failure),
            }
        }
        match requests.join_next().await {
            Some(Ok(Answer::Offer(supernode, offer))) => planter.handle_offer(&supernode, offer),
            Some(Ok(Answer::Planted(node, planted))) => planter.handle_planted(node, planted),
            Some(Ok(Answer::Indexed(supernode, indexed))) => planter.handle_indexed(&supernode, indexed),
            // A request that panicked or none under way: nothing more will come.
            Some(Err(_)) | None => {
                return Err(Failure {
                    reasons: vec![("this program".into(), "planting came to a halt".into())],
                });
            }
        }
    }
}
