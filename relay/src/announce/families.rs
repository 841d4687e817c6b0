//! One announce over both families of addresses (BEP 7): a tracker lists a client for each where it comes from.
//!
//! Sends nothing itself.

use anatomic_engine::AnnounceReply;
use std::future::Future;
use std::time::Duration;
use tokio::time::timeout;

/// How long one family waits for the other after it has its reply.
const STRAGGLER: Duration = Duration::from_secs(2);

/// The replies over both families as one; one is enough.
pub(super) async fn both(
    v4: impl Future<Output = Result<AnnounceReply, String>>,
    v6: impl Future<Output = Result<AnnounceReply, String>>,
) -> Result<AnnounceReply, String> {
    tokio::pin!(v4, v6);
    let (first, second) = tokio::select! {
        first = &mut v4 => {
            let second = if first.is_ok() { timeout(STRAGGLER, v6).await.ok() } else { Some(v6.await) };
            (first, second)
        }
        first = &mut v6 => {
            let second = if first.is_ok() { timeout(STRAGGLER, v4).await.ok() } else { Some(v4.await) };
            (first, second)
        }
    };
    match (first, second) {
        (Ok(mut one), Some(Ok(other))) => {
            one.peers.extend(other.peers);
            one.seeds = one.seeds.max(other.seeds);
            one.leeches = one.leeches.max(other.leeches);
            Ok(one)
        }
        (Ok(one), _) | (Err(_), Some(Ok(one))) => Ok(one),
        (Err(reason), _) => Err(reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::{pending, ready};

    fn reply(peer: &str, seeds: u32) -> Result<AnnounceReply, String> {
        let peers = vec![peer.parse().unwrap()];
        Ok(AnnounceReply { peers, seeds: Some(seeds), ..AnnounceReply::default() })
    }

    #[tokio::test]
    async fn both_replies_count_and_one_is_enough() {
        let (v4, v6) = (reply("1.1.1.1:1", 2), reply("[2600::1]:1", 3));
        let whole = both(ready(v4.clone()), ready(v6.clone())).await.unwrap();
        assert_eq!((whole.peers.len(), whole.seeds), (2, Some(3)));
        assert_eq!(both(ready(v4.clone()), pending()).await, v4);
        assert_eq!(both(ready(Err("no route".into())), ready(v6.clone())).await, v6);
        assert!(both(ready(Err("a".into())), ready(Err("b".into()))).await.is_err());
    }
}
