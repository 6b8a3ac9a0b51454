//! Follows the answers, to learn whether a request has changed the protocol.
//!
//! Only an answer 101 to a request with Upgrade, or 2xx to CONNECT, does that.
//! Until then what the client sends are requests, whatever it asked for: so
//! nothing is held back while a server thinks, and nobody gets anything past
//! pen by asking for what the server refuses. This direction says so before it
//! passes the answer on, and the client cannot speak the other protocol before
//! it has the answer.
//!
//! An answer belongs to the oldest request that has none. Where that cannot be
//! told for certain, the answers are followed no further and the protocol is
//! taken to be HTTP to the end: text of the client's choice in an answer's body
//! must never be taken for a head.

use super::line::{Field, Framing, Method, status_line};
use super::message::{Event, Length, Message};
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Most requests that wait for their answers. Beyond that they are not matched.
const MOST: usize = 1000;

/// A request that waits for its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) method: Method,
    pub(super) upgrade: bool,
}

/// What the two directions of a connection tell each other.
#[derive(Debug)]
pub struct Exchange {
    /// The requests without an answer, oldest first. Nothing: they are not
    /// matched any more.
    asked: Mutex<Option<VecDeque<Asked>>>,
    has_switched: AtomicBool,
}

impl Exchange {
    /// Of a connection on which nothing was said yet.
    pub fn new() -> Exchange {
        Exchange { asked: Mutex::new(Some(VecDeque::new())), has_switched: AtomicBool::new(false) }
    }

    /// Whether another protocol has begun.
    pub(super) fn has_switched(&self) -> bool {
        self.has_switched.load(SeqCst)
    }

    /// The head of a request is complete, and goes to the server after this.
    pub(super) fn ask(&self, asked: Asked) {
        let mut queue = crate::lock(&self.asked);
        match queue.as_mut().filter(|queue| queue.len() < MOST) {
            Some(waiting) => waiting.push_back(asked),
            None => *queue = None,
        }
    }

    /// The request that an answer is for.
    fn answered(&self) -> Option<Asked> {
        crate::lock(&self.asked).as_mut()?.pop_front()
    }

    /// Requests are matched no more.
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
    /// Of a connection with these requests.
    pub fn new(exchange: &Exchange) -> Answers<'_> {
        let (message, framing) = (Message::new(), Framing::default());
        Answers { exchange, message, status: 0, framing }
    }

    /// Takes the next piece of the stream, before it is passed on; `false` if
    /// there is nothing more to be learnt.
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
            // Not asked for.
            (101, _) => return None,
            (204 | 304, _) | (_, Asked { method: Method::Head, .. }) => Length::Bytes(0),
            // If nothing is said it lasts to the end, behind which none comes.
            _ => self.framing.length().ok()??,
        };
        self.message.body(length);
        Some(())
    }
}
