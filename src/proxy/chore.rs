//! Work that a thread of its own does now and then, and at once when it is asked to: a
//! file that it writes may be on a disk that hangs, and nobody else waits for that. The
//! thread starts when there is something to do for the first time.

use crate::proxy::shared::Pen;
use crate::sys::process;
use std::sync::mpsc::{self, Receiver, SyncSender};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

/// How often it can be asked for while it is done. All of these are answered by one
/// more time, so that more need not wait.
const QUEUE: usize = 64;

/// Those who ask. They hear when it is done.
pub(crate) type Asked = Receiver<SyncSender<()>>;

/// The work: a thread's name and its life.
type Work = (&'static str, fn(&Pen, &Asked));

/// Where that thread is asked.
#[derive(Debug, Default)]
pub struct Chore {
    work: OnceLock<(Weak<Pen>, Work)>,
    queue: OnceLock<SyncSender<SyncSender<()>>>,
}

impl Chore {
    /// Says what the work is. Before that, no thread starts.
    pub(crate) fn is(&self, pen: &Arc<Pen>, work: Work) {
        let _ = self.work.set((Arc::downgrade(pen), work));
    }

    /// Starts the thread, unless it runs.
    pub(crate) fn start(&self) -> Result<(), String> {
        let Some((pen, (name, work))) = self.work.get() else {
            return Ok(());
        };
        let (Some(pen), work) = (pen.upgrade(), *work) else {
            return Ok(());
        };
        let (queue, asked) = mpsc::sync_channel(QUEUE);
        match self.queue.set(queue) {
            Ok(()) => process::spawn(name, move || work(&pen, &asked)),
            Err(_) => Ok(()),
        }
    }

    /// Has it done. What is returned says when it is done, and says so too early, by an
    /// error, if the thread does not run.
    pub(crate) fn ask(&self) -> Receiver<()> {
        let (done, wait) = mpsc::sync_channel(1);
        if let Some(queue) = self.queue.get() {
            let _ = queue.try_send(done);
        }
        wait
    }
}

/// Does the work until the process ends. It returns how long it may rest then.
pub(crate) fn repeat(asked: &Asked, mut work: impl FnMut() -> Duration) {
    let mut next: Option<SyncSender<()>> = None;
    loop {
        let rest = work();
        if let Some(done) = next.take() {
            let _ = done.try_send(());
        }
        next = asked.recv_timeout(rest).ok();
    }
}
