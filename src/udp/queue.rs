//! Datagrams that wait for a place: new flows while all slots are taken. A
//! thread of their own makes room for them, so that whoever has a flow already
//! is not held up by a flood of those who have none.

use crate::udp::Datagram;
use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};

/// Datagrams that may wait. More than that are lost, as in any full queue.
const QUEUE: usize = 256;

#[derive(Default)]
struct Line {
    waiting: VecDeque<Datagram<'static>>,
    /// One has left the queue and is being dealt with.
    busy: bool,
}

/// Who waits.
#[derive(Default)]
pub struct Crowd {
    line: Mutex<Line>,
    bell: Condvar,
}

impl Crowd {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        let line = crate::lock(&self.line);
        line.waiting.is_empty() && !line.busy
    }

    /// Queues up; `false` if the queue is full.
    pub fn join(&self, datagram: Datagram<'static>) -> bool {
        let mut line = crate::lock(&self.line);
        if line.waiting.len() >= QUEUE {
            return false;
        }
        line.waiting.push_back(datagram);
        let idle = !line.busy;
        drop(line);
        if idle {
            self.bell.notify_one();
        }
        true
    }

    /// The next one, however long it takes, and how many wait behind it. The
    /// one before is dealt with.
    pub fn next(&self) -> (Datagram<'static>, usize) {
        let mut line = crate::lock(&self.line);
        line.busy = false;
        loop {
            if let Some(datagram) = line.waiting.pop_front() {
                line.busy = true;
                return (datagram, line.waiting.len());
            }
            line = self.bell.wait(line).unwrap_or_else(PoisonError::into_inner);
        }
    }
}
