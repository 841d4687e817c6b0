//! The side that dialled.
//!
//! Whether to dial with MSE at all is the engine's decision.

use super::exchange::{KEY_LEN, Secret, Side, hidden, public_key, terms};
use super::inbox::Inbox;
use super::{Agreed, Ciphers, MAX_PAD, PLAIN, Progress, RC4, Refusal, SECRET_LEN, Step, VC, advance};
use anatomic_core::InfoHash;

/// The dialling side of a handshake. It sends no payload of its own with it, and leaves it to the other side what
/// follows.
pub struct Dialler {
    data: Data,
    state: State,
}

struct Data {
    info_hash: InfoHash,
    exponent: [u8; SECRET_LEN],
    inbox: Inbox,
    out: Vec<u8>,
}

enum State {
    AwaitKey,
    /// Awaits the end of their padding: VC as they encrypt it.
    AwaitVerification {
        ciphers: Ciphers,
        mark: [u8; VC.len()],
    },
    AwaitSelection(Ciphers),
    AwaitPad {
        ciphers: Ciphers,
        method: u32,
        length: usize,
    },
    Over,
}

impl Dialler {
    /// Begins. `exponent` and `pad` are random bytes; of the padding 512 are used at most.
    #[must_use]
    pub fn new(info_hash: InfoHash, exponent: [u8; SECRET_LEN], pad: &[u8]) -> Self {
        let mut out = Vec::from(public_key(&exponent));
        out.extend(pad.iter().take(MAX_PAD));
        Self { data: Data { info_hash, exponent, inbox: Inbox::default(), out }, state: State::AwaitKey }
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
}

impl Data {
    fn advance(&mut self, state: State) -> Result<Progress<State>, Refusal> {
        let wait = |state| Ok(Progress::Stop(state, Step::Wait));
        match state {
            State::AwaitKey => {
                let Some(theirs) = self.inbox.take(KEY_LEN) else { return wait(State::AwaitKey) };
                let secret = Secret::agree(&self.exponent, &theirs);
                let mut ciphers = secret.ciphers(self.info_hash, Side::Dialler);
                self.out.extend(secret.req1());
                self.out.extend(secret.cover(hidden(self.info_hash)));
                let mut rest = terms(PLAIN | RC4);
                // No first payload.
                rest.extend([0, 0]);
                ciphers.send.apply(&mut rest);
                self.out.extend(rest);
                let mut mark = VC;
                ciphers.receive.apply(&mut mark);
                Ok(Progress::To(State::AwaitVerification { ciphers, mark }))
            }
            State::AwaitVerification { ciphers, mark } => {
                if self.inbox.skip_to(&mark)? {
                    Ok(Progress::To(State::AwaitSelection(ciphers)))
                } else {
                    wait(State::AwaitVerification { ciphers, mark })
                }
            }
            State::AwaitSelection(mut ciphers) => {
                let Some([a, b, c, d, e, f]) = self.inbox.decrypt(&mut ciphers.receive) else {
                    return wait(State::AwaitSelection(ciphers));
                };
                let (method, length) = (u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]));
                if method != PLAIN && method != RC4 {
                    return Err(Refusal::NoMethod(method));
                }
                if usize::from(length) > MAX_PAD {
                    return Err(Refusal::LongPad(length));
                }
                Ok(Progress::To(State::AwaitPad { ciphers, method, length: length.into() }))
            }
            State::AwaitPad { mut ciphers, method, length } => {
                if !self.inbox.skip(length, &mut ciphers.receive) {
                    return wait(State::AwaitPad { ciphers, method, length });
                }
                let mut early = self.inbox.take_all();
                let ciphers = (method == RC4).then(|| {
                    ciphers.receive.apply(&mut early);
                    ciphers
                });
                let agreed = Agreed { info_hash: self.info_hash, ciphers, early };
                Ok(Progress::Stop(State::Over, Step::Done(agreed)))
            }
            State::Over => wait(State::Over),
        }
    }
}
