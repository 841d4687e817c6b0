//! How a connection begins: plainly, or with message stream encryption, before the engine sees it.
//!
//! What is said is the machine's part (`anatomic_wire::mse`), when to encrypt the engine's; here are the stream, the time
//! limit and the randomness. Works over whatever carries bytes in order.

use super::link::Carrier;
use super::session::Message;
use anatomic_core::{InfoHash, Sha1Hash};
use anatomic_engine::Encryption;
use anatomic_wire::mse::{
    Acceptor, Agreed, Beginning, Ciphers, Dialler, MAX_PAD, SECRET_LEN, Step, beginning,
};
use bytes::{Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::oneshot;

/// Time for all of it, and for the first bytes of who connects to us: that of a BitTorrent handshake.
const LIMIT: Duration = Duration::from_secs(10);

/// A connection of which it is known how its bytes are to be read.
#[derive(Debug)]
pub(crate) struct Begun {
    pub(super) carrier: Carrier,
    /// `None`: the bytes are as they look.
    pub(super) ciphers: Option<Ciphers>,
    /// The first bytes, decrypted.
    pub(super) early: Bytes,
}

/// Begins on a connection that we dialled.
pub(super) async fn dialled(
    carrier: Carrier,
    encryption: Encryption,
    info_hash: InfoHash,
) -> io::Result<Begun> {
    match encryption {
        Encryption::Plain => Ok(Begun { carrier, ciphers: None, early: Bytes::new() }),
        Encryption::Mse => in_time(agree(carrier, info_hash)).await,
    }
}

/// Waits for the first bytes of a connection that we accepted, and answers if they ask for encryption.
pub(super) async fn accepted(carrier: Carrier, session: &UnboundedSender<Message>) -> io::Result<Begun> {
    in_time(answer(carrier, session)).await
}

async fn in_time(work: impl Future<Output = io::Result<Begun>>) -> io::Result<Begun> {
    tokio::time::timeout(LIMIT, work).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
}

async fn agree(carrier: Carrier, info_hash: InfoHash) -> io::Result<Begun> {
    let (exponent, pad) = chance()?;
    let mut machine = Dialler::new(info_hash, exponent, &pad);
    let mut bytes = BytesMut::new();
    loop {
        carrier.write_all(&machine.take_output()).await?;
        read(&carrier, &mut bytes).await?;
        if let Step::Done(agreed) = machine.receive(&bytes.split()).map_err(io::Error::other)? {
            return Ok(begun(carrier, agreed));
        }
    }
}

async fn answer(carrier: Carrier, session: &UnboundedSender<Message>) -> io::Result<Begun> {
    let mut bytes = BytesMut::new();
    loop {
        read(&carrier, &mut bytes).await?;
        match beginning(&bytes) {
            Beginning::Unclear => {}
            Beginning::Plain => return Ok(Begun { carrier, ciphers: None, early: bytes.freeze() }),
            Beginning::Mse => break,
        }
    }
    let (exponent, pad) = chance()?;
    let mut machine = Acceptor::new(exponent, &pad);
    loop {
        let mut step = machine.receive(&bytes.split()).map_err(io::Error::other)?;
        if let Step::Find(hidden) = step {
            let found = find(session, hidden).await.ok_or(io::ErrorKind::NotFound)?;
            step = machine.found(found).map_err(io::Error::other)?;
        }
        carrier.write_all(&machine.take_output()).await?;
        if let Step::Done(agreed) = step {
            return Ok(begun(carrier, agreed));
        }
        read(&carrier, &mut bytes).await?;
    }
}

fn begun(carrier: Carrier, agreed: Agreed) -> Begun {
    tracing::debug!(rc4 = agreed.ciphers.is_some(), "encryption agreed");
    Begun { carrier, ciphers: agreed.ciphers, early: agreed.early.into() }
}

/// Appends what came.
async fn read(carrier: &Carrier, bytes: &mut BytesMut) -> io::Result<()> {
    match carrier.read(bytes).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// The torrent that the session has by that name.
async fn find(session: &UnboundedSender<Message>, hidden: Sha1Hash) -> Option<InfoHash> {
    let (reply, found) = oneshot::channel();
    let look = Message::Command(Box::new(move |session| {
        // Who asked may have run out of time.
        let _ = reply.send(session.engine.find_hidden(hidden));
    }));
    session.send(look).ok()?;
    found.await.ok()?
}

/// A secret exponent, and a padding of any length.
fn chance() -> io::Result<([u8; SECRET_LEN], Vec<u8>)> {
    let (mut exponent, mut pad) = ([0; SECRET_LEN], vec![0; MAX_PAD]);
    getrandom::fill(&mut exponent).map_err(io::Error::other)?;
    getrandom::fill(&mut pad).map_err(io::Error::other)?;
    let length = getrandom::u32().map_err(io::Error::other)? as usize;
    pad.truncate(length % (MAX_PAD + 1));
    Ok((exponent, pad))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::{TcpListener, TcpStream};
    use tokio::sync::mpsc;

    const TORRENT: InfoHash = InfoHash([7; 20]);

    async fn pair() -> (Carrier, Carrier) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let dialled = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Carrier::Tcp(dialled), Carrier::Tcp(listener.accept().await.unwrap().0))
    }

    #[tokio::test]
    async fn a_plain_connection_comes_through_with_all_its_bytes() {
        let (there, here) = pair().await;
        let (session, _inbox) = mpsc::unbounded_channel();
        let hello = b"\x13BitTorrent protocol and what follows";
        let (first, rest) = hello.split_at(7);
        let say = async {
            there.write_all(first).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
            there.write_all(rest).await.unwrap();
        };
        let (begun, ()) = tokio::join!(accepted(here, &session), say);
        let begun = begun.unwrap();
        assert!(begun.ciphers.is_none());
        assert_eq!(begun.early.as_ref(), hello);
    }

    #[tokio::test]
    async fn who_asks_for_a_torrent_that_is_not_here_is_sent_away() {
        let (there, here) = pair().await;
        // The session is over, so it has no torrents.
        let (session, _) = mpsc::unbounded_channel();
        let (refused, gone) =
            tokio::join!(accepted(here, &session), dialled(there, Encryption::Mse, TORRENT));
        assert_eq!(refused.unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(gone.is_err());
    }
}
