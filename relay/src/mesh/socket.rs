//! One WebSocket between sisters, ours or theirs: messages in, messages out, until one side closes.
//!
//! Understands none of them. What does not drain in time is cut off.

use super::actor::Input;
use anatomic_mesh::sharing::ConnectionId;
use futures_util::{Sink, SinkExt as _, Stream, StreamExt as _};
use std::time::Duration;
use tokio::sync::mpsc;

/// A message that is not taken within this time ends the connection.
const SEND_TIMEOUT: Duration = Duration::from_secs(20);

/// A WebSocket message of one library or the other.
pub(super) trait Frame: Sized {
    /// The bytes of a binary message. `Ok(None)`: a sign of life; an error: the end.
    fn bytes(self) -> Result<Option<Vec<u8>>, End>;
    /// A binary message.
    fn binary(bytes: Vec<u8>) -> Self;
}

/// The other side closed, or does not speak our protocol.
pub(super) struct End;

impl Frame for axum::extract::ws::Message {
    fn bytes(self) -> Result<Option<Vec<u8>>, End> {
        match self {
            Self::Binary(bytes) => Ok(Some(bytes.to_vec())),
            Self::Ping(_) | Self::Pong(_) => Ok(None),
            Self::Text(_) | Self::Close(_) => Err(End),
        }
    }

    fn binary(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

impl Frame for tokio_tungstenite::tungstenite::Message {
    fn bytes(self) -> Result<Option<Vec<u8>>, End> {
        match self {
            Self::Binary(bytes) => Ok(Some(bytes.to_vec())),
            Self::Ping(_) | Self::Pong(_) | Self::Frame(_) => Ok(None),
            Self::Text(_) | Self::Close(_) => Err(End),
        }
    }

    fn binary(bytes: Vec<u8>) -> Self {
        Self::Binary(bytes.into())
    }
}

/// Runs until either side closes; tells `inputs` of every message and of the end.
pub(super) async fn run<S, M, E>(
    stream: S,
    mut inbox: mpsc::Receiver<Vec<u8>>,
    id: ConnectionId,
    inputs: mpsc::Sender<Input>,
) where
    S: Stream<Item = Result<M, E>> + Sink<M> + Send + Unpin,
    M: Frame + Send,
    E: Send,
{
    let (mut sink, mut source) = stream.split();
    loop {
        tokio::select! {
            incoming = source.next() => {
                let Some(Ok(frame)) = incoming else { break };
                match frame.bytes() {
                    // The sender waits while we are busy: nothing piles up.
                    Ok(Some(bytes)) => if inputs.send(Input::Message(id, bytes)).await.is_err() { break },
                    Ok(None) => {}
                    Err(End) => break,
                }
            }
            outgoing = inbox.recv() => {
                let Some(bytes) = outgoing else { break };
                match tokio::time::timeout(SEND_TIMEOUT, sink.send(M::binary(bytes))).await {
                    Ok(Ok(())) => {}
                    _ => break,
                }
            }
        }
    }
    let _ = tokio::time::timeout(Duration::from_secs(1), sink.close()).await;
    let _ = inputs.send(Input::Closed(id)).await;
}
