//! Threads that serve one connection after the other.
//!
//! A finished thread waits on a list for its next job; the one that waited
//! shortest is taken first, as its stack and buffer are still in the cache. A
//! thread is started only when the list is empty, and leaves after a quiet
//! while, so that memory comes back. Threads are taken before there is
//! something to do ([`Hand`]): a client is accepted only when both of its are
//! there. A fresh thread for every connection costs
//! two thirds of the connection rate (measured: its stack is mapped and
//! unmapped each time, and the other processors must hear of it).

use crate::sys;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Bytes that one read may bring. Bulk speed grows up to here (measured); only
/// pages that data reached cost memory.
pub const BUFFER: usize = 256 * 1024;

/// Memory that must be left when a thread is started: its buffer, and more for
/// everybody's small needs.
const HEADROOM: usize = 8 * BUFFER;

/// A thread's stack; the deepest call uses about a tenth of the small one.
/// glibc keeps 40 MiB of stacks for later threads, counting what was reserved
/// and not the 8 KiB that were used: of large ones it keeps few (measured: 5
/// MiB less of memory after 2,000 connections).
const STACK: usize = match cfg!(all(target_env = "gnu", target_pointer_width = "64")) {
    true => 512 * 1024,
    false => 64 * 1024,
};

/// How long a thread waits for its next job.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a thread is given to do, with the thread's copy buffer.
pub type Job = Box<dyn FnOnce(&mut Buffer) + Send>;

/// A thread's copy buffer: a `BufReader` whose source is changed for every
/// connection, because `io::copy` hands a `BufReader`'s own buffer to the
/// writer after each read. Its source is an `Arc<File>`, as that is the one
/// shared descriptor type whose reads fill a fresh buffer without zeroing it
/// first: pages that data never reached cost nothing. A thread gets its buffer
/// when the first data is there, so that an idle connection has none.
pub struct Buffer {
    reader: Option<BufReader<Arc<File>>>,
    nothing: Arc<File>,
}

impl Buffer {
    fn new(nothing: Arc<File>) -> Buffer {
        let reader = None;
        Buffer { reader, nothing }
    }

    /// Gives its memory back; the next source gets it anew.
    fn release(&mut self) {
        self.reader = None;
    }

    /// Lends the reader for one source. What is left in the buffer afterwards
    /// (its receiver has gone) is thrown away, and the source let go. Fails
    /// while there is not memory to spare for a buffer: one that cannot be had
    /// would end the process, not the connection.
    pub fn lend<R>(
        &mut self,
        source: Arc<File>,
        work: impl FnOnce(&mut BufReader<Arc<File>>) -> io::Result<R>,
    ) -> io::Result<R> {
        let reader = match &mut self.reader {
            Some(reader) => reader,
            none => {
                sys::wait_either(&source, &source)?;
                let mut probe: Vec<u8> = Vec::new();
                probe
                    .try_reserve_exact(HEADROOM)
                    .map_err(|_| io::Error::from(io::ErrorKind::OutOfMemory))?;
                drop(probe);
                none.insert(BufReader::with_capacity(BUFFER, Arc::clone(&self.nothing)))
            }
        };
        *reader.get_mut() = source;
        let result = work(reader);
        let left = reader.buffer().len();
        reader.consume(left);
        *reader.get_mut() = Arc::clone(&self.nothing);
        result
    }
}

/// A thread, and where its next job is put.
struct Worker {
    job: Mutex<Option<Job>>,
    /// Not known until it runs.
    thread: OnceLock<Thread>,
    home: Arc<Workers>,
}

impl Worker {
    /// Has it look for a job, or at how long it has waited. If it does not run
    /// yet it will do so in any case.
    fn wake(&self) {
        if let Some(thread) = self.thread.get() {
            thread.unpark();
        }
    }
}

/// A thread without a job, kept for whoever has this: what it is given to do
/// is done for sure. Dropped, it is there for others again.
pub struct Hand(Option<Arc<Worker>>);

impl Hand {
    /// Gives it its job.
    pub fn run(mut self, job: Job) {
        if let Some(worker) = self.0.take() {
            *crate::lock(&worker.job) = Some(job);
            worker.wake();
        }
    }
}

impl Drop for Hand {
    fn drop(&mut self) {
        if let Some(worker) = self.0.take() {
            worker.home.put_back(&worker);
            worker.wake();
        }
    }
}

/// The threads.
pub struct Workers {
    idle: Mutex<Idle>,
    freed: Condvar,
    nothing: Arc<File>,
    /// Threads there are.
    alive: AtomicUsize,
    /// One that leaves stays until the others have gone, to give back memory.
    has_janitor: AtomicBool,
}

/// Threads that nobody has.
#[derive(Default)]
struct Idle {
    list: Vec<Arc<Worker>>,
    /// Somebody waits for one.
    wanted: bool,
}

impl Workers {
    /// None yet.
    pub fn new() -> io::Result<Arc<Workers>> {
        // At its end, as /dev/null would be, which a bare root does not have.
        let (nothing, _) = UnixStream::pair()?;
        let nothing = File::from(OwnedFd::from(nothing));
        Ok(Arc::new(Workers {
            idle: Mutex::default(),
            freed: Condvar::new(),
            nothing: Arc::new(nothing),
            alive: AtomicUsize::new(0),
            has_janitor: AtomicBool::new(false),
        }))
    }

    /// A waiting thread, or a new one. Fails if none can be started.
    pub fn hire(self: &Arc<Workers>) -> io::Result<Hand> {
        let waiting = crate::lock(&self.idle).list.pop();
        match waiting {
            Some(worker) => Ok(Hand(Some(worker))),
            None => self.start(),
        }
    }

    /// The same; if none can be started, it waits so long for one that is done
    /// with its work.
    pub fn hire_within(self: &Arc<Workers>, limit: Duration) -> io::Result<Hand> {
        let error = match self.hire() {
            Ok(hand) => return Ok(hand),
            Err(e) => e,
        };
        let end = Instant::now() + limit;
        let mut idle = crate::lock(&self.idle);
        loop {
            if let Some(worker) = idle.list.pop() {
                return Ok(Hand(Some(worker)));
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(error);
            }
            idle.wanted = true;
            let waited = self.freed.wait_timeout(idle, left);
            idle = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn start(self: &Arc<Workers>) -> io::Result<Hand> {
        let worker = Arc::new(Worker {
            job: Mutex::new(None),
            thread: OnceLock::new(),
            home: Arc::clone(self),
        });
        let me = Arc::clone(&worker);
        sys::start_thread(STACK, move || {
            let _ = me.thread.set(thread::current());
            me.home.work(&me);
        })?;
        Ok(Hand(Some(worker)))
    }

    /// A thread has nothing to do.
    fn put_back(&self, worker: &Arc<Worker>) {
        let mut idle = crate::lock(&self.idle);
        idle.list.push(Arc::clone(worker));
        let wanted = std::mem::take(&mut idle.wanted);
        drop(idle);
        // Only when somebody waits: waking costs a system call.
        if wanted {
            self.freed.notify_all();
        }
    }

    /// A thread's life.
    fn work(&self, me: &Arc<Worker>) {
        self.alive.fetch_add(1, Relaxed);
        let mut buffer = Buffer::new(Arc::clone(&self.nothing));
        while let Some(job) = self.wait(me, &mut buffer) {
            job(&mut buffer);
            self.put_back(me);
        }
        drop(buffer);
        let left = self.alive.fetch_sub(1, Relaxed);
        if crate::lock(&self.idle).list.is_empty() && !self.has_janitor.swap(true, Relaxed) {
            self.clean_up(left);
        }
    }

    /// Waits until no more threads come or go, then gives back the memory that
    /// all of them have left.
    fn clean_up(&self, mut before: usize) {
        loop {
            thread::sleep(Duration::from_secs(1));
            let now = self.alive.load(Relaxed);
            if now == before {
                break;
            }
            before = now;
        }
        self.has_janitor.store(false, Relaxed);
        sys::return_memory();
    }

    /// The next job; `None` when none came for a while and none can come.
    fn wait(&self, me: &Arc<Worker>, buffer: &mut Buffer) -> Option<Job> {
        let mut end = Instant::now() + PATIENCE;
        loop {
            if let Some(job) = crate::lock(&me.job).take() {
                return Some(job);
            }
            let left = end.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                thread::park_timeout(left);
                continue;
            }
            let mut idle = crate::lock(&self.idle);
            if let Some(at) = idle.list.iter().position(|other| Arc::ptr_eq(other, me)) {
                idle.list.remove(at);
                return None;
            }
            drop(idle);
            // Somebody has it, who gives it a job or puts it back, and wakes
            // it then.
            buffer.release();
            thread::park();
            end = Instant::now() + PATIENCE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::mpsc;

    #[test]
    fn a_finished_thread_is_used_again() {
        let workers = Workers::new().unwrap();
        let (send, receive) = mpsc::channel();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let send = send.clone();
            let hand = workers.hire().unwrap();
            hand.run(Box::new(move |_| {
                send.send(thread::current().id()).unwrap()
            }));
            seen.push(receive.recv().unwrap());
            while crate::lock(&workers.idle).list.is_empty() {
                thread::yield_now();
            }
        }
        assert_eq!(seen[0], seen[1]);
        assert_eq!(seen[1], seen[2]);
    }

    #[test]
    fn jobs_at_the_same_time_have_threads_of_their_own() {
        let workers = Workers::new().unwrap();
        let barrier = Arc::new(std::sync::Barrier::new(9));
        for _ in 0..8 {
            let barrier = Arc::clone(&barrier);
            let hand = workers.hire().unwrap();
            hand.run(Box::new(move |_| {
                barrier.wait();
            }));
        }
        barrier.wait();
    }

    #[test]
    fn a_hand_that_is_let_go_is_there_for_others() {
        let workers = Workers::new().unwrap();
        let [first, second] = [(); 2].map(|()| workers.hire().unwrap());
        let kept = first.0.clone().unwrap();
        drop(first);
        assert_eq!(crate::lock(&workers.idle).list.len(), 1);
        let again = workers.hire_within(Duration::ZERO).unwrap();
        assert!(Arc::ptr_eq(&kept, again.0.as_ref().unwrap()));
        let (send, receive) = mpsc::channel();
        for hand in [again, second] {
            let send = send.clone();
            hand.run(Box::new(move |_| send.send(()).unwrap()));
        }
        receive.recv().unwrap();
        receive.recv().unwrap();
    }

    #[test]
    fn a_lent_buffer_forgets_its_source() {
        let nothing = Arc::new(File::open("/dev/null").unwrap());
        let mut buffer = Buffer::new(nothing);
        let source = Arc::new(File::open(std::env::current_exe().unwrap()).unwrap());
        let result = buffer.lend(Arc::clone(&source), |reader| reader.read_exact(&mut [0; 3]));
        result.unwrap();
        assert_eq!(Arc::strong_count(&source), 1);
        let again = Arc::new(File::open("/dev/null").unwrap());
        let read = buffer
            .lend(again, |reader| reader.read(&mut [0; 3]))
            .unwrap();
        assert_eq!(read, 0);
    }
}
