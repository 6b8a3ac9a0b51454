//! The messages that wait to be written, and the one thread that writes them.
//!
//! The reader of standard error or of the system log may stop reading: a pipe, a
//! terminal or the socket `/dev/log` is full then, and the next write waits. So
//! no other thread writes. The thread takes all that waits at once; only what
//! comes while [`ROOM`] is used up is lost, and counted in its place. That is
//! how the order of messages stays.

use super::{Level, Message};
use crate::sys;
use std::io;
use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that may wait: 10,000 lines. The last message may reach beyond.
const ROOM: usize = 1 << 20;

/// The thread's stack, of which the C library's syslog() needs most.
const STACK: usize = 128 * 1024;

struct Queue {
    waiting: Vec<Message>,
    bytes: usize,
    /// Messages that came after those that wait.
    lost: u64,
    /// Until the thread runs, each thread writes its messages itself.
    has_writer: bool,
    is_writing: bool,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue {
    waiting: Vec::new(),
    bytes: 0,
    lost: 0,
    has_writer: false,
    is_writing: false,
});
static CHANGED: Condvar = Condvar::new();

/// Starts the thread that writes; no other thread waits for a message to be written
/// from now on. To be called after the fork.
pub(crate) fn start_writer() -> Result<(), String> {
    sys::start_thread(STACK, write_all)
        .map_err(|e| format!("cannot start the messages thread: {e}"))?;
    crate::lock(&QUEUE).has_writer = true;
    Ok(())
}

/// Leaves a message to the thread, if there is room for it.
pub(super) fn put(message: Message) {
    let mut queue = crate::lock(&QUEUE);
    if !queue.has_writer {
        drop(queue);
        let _ = message.write();
    } else if queue.lost > 0 || queue.bytes >= ROOM {
        queue.lost += 1;
    } else {
        queue.bytes = queue.bytes.saturating_add(message.size());
        queue.waiting.push(message);
        drop(queue);
        CHANGED.notify_all();
    }
}

/// Waits until all messages so far are written, which may take for ever.
pub(crate) fn flush() {
    let queue = crate::lock(&QUEUE);
    let is_busy = |queue: &mut Queue| queue.is_writing || !queue.waiting.is_empty();
    drop(CHANGED.wait_while(queue, is_busy));
}

/// Writes messages until the process ends.
fn write_all() {
    let mut lost = 0;
    loop {
        let mut queue = crate::lock(&QUEUE);
        queue.is_writing = false;
        CHANGED.notify_all();
        let queue = CHANGED.wait_while(queue, |queue| queue.waiting.is_empty());
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        let messages = std::mem::take(&mut queue.waiting);
        let dropped = std::mem::take(&mut queue.lost);
        queue.bytes = 0;
        queue.is_writing = true;
        drop(queue);
        lost += messages.iter().map(Message::write).filter(io::Result::is_err).count() as u64;
        lost += dropped;
        if lost > 0 {
            let text = format!("{lost} messages were lost");
            if Message::new(Level::Warning, text).write().is_ok() {
                lost = 0;
            }
        }
    }
}
