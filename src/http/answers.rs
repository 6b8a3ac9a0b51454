//! Follows the answers, to learn whether a request has changed the protocol.
//!
//! Only an answer 101 to a request with Upgrade, or 2xx to CONNECT, changes it. Until
//! then pen reads what the client sends as requests, whatever the client asked for. So
//! pen need not hold data back until the server answers, and a client cannot evade pen
//! by asking for a protocol that the server refuses. This direction reports the change
//! before it passes the answer on, and the client cannot use the other protocol before
//! it has the answer.
//!
//! An answer belongs to the oldest request without one. If that is not certain, pen
//! stops following the answers and takes the protocol for HTTP to the end, because it
//! must never take text that the client chose, in the body of an answer, for a head.

use super::line::{Field, Framing, Method, status_line};
use super::message::{Event, Length, Message};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Most requests that wait for their answers. If there are more, pen stops matching.
const MOST: usize = 1000;

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) upgrade: bool,
}

/// What the two directions of a connection share.
#[derive(Debug)]
pub struct Exchange {
    /// The requests without an answer, the oldest first. `None` means that pen has
    /// stopped matching.
    asked: Mutex<Option<VecDeque<Asked>>>,
    has_switched: AtomicBool,
}

impl Exchange {
    /// Makes the state of a new connection.
    pub fn new() -> Exchange {
        Exchange { asked: Mutex::new(Some(VecDeque::new())), has_switched: AtomicBool::new(false) }
    }

    /// Tells whether another protocol has begun.
    pub(super) fn has_switched(&self) -> bool {
        self.has_switched.load(SeqCst)
    }

    /// Notes a request. The caller must do so before its head goes to the server.
    pub(super) fn ask(&self, asked: Asked) {
        let mut queue = crate::lock(&self.asked);
        match queue.as_mut().filter(|queue| queue.len() < MOST) {
            Some(waiting) => waiting.push_back(asked),
            None => *queue = None,
        }
    }

    /// Removes and returns the request that the next answer belongs to.
    fn answered(&self) -> Option<Asked> {
        crate::lock(&self.asked).as_mut()?.pop_front()
    }

    /// Stops matching requests and answers.
    pub(super) fn give_up(&self) {
        *crate::lock(&self.asked) = None;
    }
}

impl Default for Exchange {
    fn default() -> Exchange {
        Exchange::new()
    }
}

/// Follows the server's side of one connection.
pub struct Answers<'a> {
    exchange: &'a Exchange,
    message: Message,
    status: u16,
    framing: Framing,
}

impl Answers<'_> {
    /// Follows the answers to the requests of `exchange`.
    pub fn new(exchange: &Exchange) -> Answers<'_> {
        let (message, framing) = (Message::new(), Framing::default());
        Answers { exchange, message, status: 0, framing }
    }

    /// Takes the next piece of the stream, which the caller must not have passed on yet.
    /// Returns `false` if it needs no further pieces.
    pub fn see(&mut self, mut data: &[u8]) -> bool {
        while let Some(event) = self.message.next(&mut data) {
            let next = match event {
                Event::Start(_, true) => self.start(),
                Event::Field(_) => self.field(),
                Event::HeadEnd => self.head_end(),
                Event::Stop(_) => None,
                Event::Pass(_) | Event::Start(..) => Some(()),
            };
            if next.is_none() {
                self.exchange.give_up();
                return false;
            }
        }
        true
    }

    fn start(&mut self) -> Option<()> {
        let (status, is_1_0) = status_line(self.message.line())?;
        (self.status, self.framing) = (status, Framing::new(is_1_0));
        Some(())
    }

    fn field(&mut self) -> Option<()> {
        self.framing.see(&Field::parse(self.message.line())?);
        Some(())
    }

    fn head_end(&mut self) -> Option<()> {
        let is_interim = self.status < 200 && self.status != 101;
        if is_interim {
            self.message.body(Length::Bytes(0));
            return Some(());
        }
        let asked = self.exchange.answered()?;
        let length = match (self.status, asked) {
            (101, Asked { upgrade: true, .. })
            | (200..=299, Asked { method: Method::Connect, .. }) => {
                self.exchange.has_switched.store(true, SeqCst);
                return None;
            }
            // The request did not ask for it.
            (101, _) => return None,
            (204 | 304, _) | (_, Asked { method: Method::Head, .. }) => Length::Bytes(0),
            // Without a length the body lasts to the end of the stream.
            _ => self.framing.length().ok()??,
        };
        self.message.body(length);
        Some(())
    }
}
