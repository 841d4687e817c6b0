//! The side that was dialled.
//!
//! It knows no torrents: whoever drives it says which one is meant.

use super::exchange::{KEY_LEN, Secret, Side, public_key, terms};
use super::inbox::Inbox;
use super::{
    Agreed, Ciphers, MAX_INITIAL, MAX_PAD, PLAIN, Progress, RC4, Refusal, SECRET_LEN, Step, VC, advance,
};
use anatomic_core::{InfoHash, Sha1Hash};

/// The accepting side of a handshake. Of the methods that the dialler offers it takes the cheaper one: who wants
/// the stream encrypted offers nothing else.
pub struct Acceptor {
    data: Data,
    state: State,
}

struct Data {
    exponent: [u8; SECRET_LEN],
    pad: Vec<u8>,
    inbox: Inbox,
    out: Vec<u8>,
}

enum State {
    AwaitKey,
    /// Awaits the end of their padding.
    AwaitRequest {
        secret: Secret,
        mark: Sha1Hash,
    },
    AwaitTorrent(Secret),
    /// [`Acceptor::found`] has not been called yet.
    Asked(Secret),
    AwaitOffer(Chosen),
    AwaitPad {
        chosen: Chosen,
        method: u32,
        length: usize,
    },
    AwaitInitial {
        chosen: Chosen,
        method: u32,
        length: usize,
    },
    Over,
}

/// The torrent and its ciphers.
struct Chosen {
    info_hash: InfoHash,
    ciphers: Ciphers,
}

impl Acceptor {
    /// Begins. `exponent` and `pad` are random bytes; of the padding 512 are used at most.
    #[must_use]
    pub fn new(exponent: [u8; SECRET_LEN], pad: &[u8]) -> Self {
        let pad = pad.iter().copied().take(MAX_PAD).collect();
        Self {
            data: Data { exponent, pad, inbox: Inbox::default(), out: Vec::new() },
            state: State::AwaitKey,
        }
    }

    /// What is to be sent now.
    #[must_use]
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.data.out)
    }

    /// Reads what the peer sent, split in any way; not to be called again after [`Step::Done`].
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<Step, Refusal> {
        let Self { data, state } = self;
        data.inbox.put(bytes);
        advance(state, State::Over, |state| data.advance(state))
    }

    /// Goes on with the torrent that [`Step::Find`] asked for.
    ///
    /// # Errors
    /// Why the connection must be closed.
    pub fn found(&mut self, info_hash: InfoHash) -> Result<Step, Refusal> {
        if let State::Asked(secret) = &self.state {
            let ciphers = secret.ciphers(info_hash, Side::Acceptor);
            self.state = State::AwaitOffer(Chosen { info_hash, ciphers });
        }
        self.receive(&[])
    }
}

impl Data {
    fn advance(&mut self, state: State) -> Result<Progress<State>, Refusal> {
        let wait = |state| Ok(Progress::Stop(state, Step::Wait));
        match state {
            State::AwaitKey => {
                let Some(theirs) = self.inbox.take(KEY_LEN) else { return wait(State::AwaitKey) };
                let secret = Secret::agree(&self.exponent, &theirs);
                self.out.extend(public_key(&self.exponent));
                self.out.append(&mut self.pad);
                let mark = secret.req1();
                Ok(Progress::To(State::AwaitRequest { secret, mark }))
            }
            State::AwaitRequest { secret, mark } => {
                if self.inbox.skip_to(&mark)? {
                    Ok(Progress::To(State::AwaitTorrent(secret)))
                } else {
                    wait(State::AwaitRequest { secret, mark })
                }
            }
            State::AwaitTorrent(secret) => match self.inbox.take_array() {
                Some(covered) => {
                    let hidden = secret.cover(covered);
                    Ok(Progress::Stop(State::Asked(secret), Step::Find(hidden)))
                }
                None => wait(State::AwaitTorrent(secret)),
            },
            State::AwaitOffer(mut chosen) => {
                let Some(bytes) = self.inbox.decrypt(&mut chosen.ciphers.receive) else {
                    return wait(State::AwaitOffer(chosen));
                };
                let (method, length) = read_offer(bytes)?;
                Ok(Progress::To(State::AwaitPad { chosen, method, length }))
            }
            State::AwaitPad { mut chosen, method, length } => {
                // The length of the first payload comes right behind.
                if !self.inbox.has(length + 2) {
                    return wait(State::AwaitPad { chosen, method, length });
                }
                let cipher = &mut chosen.ciphers.receive;
                self.inbox.skip(length, cipher);
                let length = self.inbox.decrypt(cipher).map_or(0, u16::from_be_bytes);
                if usize::from(length) > MAX_INITIAL {
                    return Err(Refusal::LongInitial(length));
                }
                Ok(Progress::To(State::AwaitInitial { chosen, method, length: length.into() }))
            }
            State::AwaitInitial { chosen, method, length } => {
                let Some(mut early) = self.inbox.take(length) else {
                    return wait(State::AwaitInitial { chosen, method, length });
                };
                let Chosen { info_hash, mut ciphers } = chosen;
                let mut answer = terms(method);
                ciphers.send.apply(&mut answer);
                self.out.extend(answer);
                // The first payload is encrypted whatever follows.
                ciphers.receive.apply(&mut early);
                let mut rest = self.inbox.take_all();
                let ciphers = (method == RC4).then(|| {
                    ciphers.receive.apply(&mut rest);
                    ciphers
                });
                early.append(&mut rest);
                Ok(Progress::Stop(State::Over, Step::Done(Agreed { info_hash, ciphers, early })))
            }
            state @ (State::Asked(_) | State::Over) => wait(state),
        }
    }
}

/// VC, what they offer, and the length of a padding: the method that we take, and that length.
fn read_offer(bytes: [u8; VC.len() + 6]) -> Result<(u32, usize), Refusal> {
    let [v @ .., a, b, c, d, e, f] = bytes;
    let (offer, length) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
    let method = if offer & PLAIN != 0 { PLAIN } else { offer & RC4 };
    match () {
        () if v != VC => Err(Refusal::Unverified),
        () if method == 0 => Err(Refusal::NoMethod(offer)),
        () if usize::from(length) > MAX_PAD => Err(Refusal::LongPad(length)),
        () => Ok((method, length.into())),
    }
}
