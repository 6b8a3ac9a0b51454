//! Threads that serve one connection after the other.
//!
//! A finished thread waits on a list for its next job; the one that waited
//! shortest is woken first, as its stack and buffer are still in the cache. A
//! thread is started only when the list is empty, and leaves after a quiet
//! while, so that memory comes back. A fresh thread for every connection costs
//! two thirds of the connection rate (measured: its stack is mapped and
//! unmapped each time, and the other processors must hear of it).

use crate::sys;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
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

impl Buffer {
    /// Gives its memory back, until the next data.
    pub fn release(&mut self) {
        self.reader = None;
    }
}

/// A waiting thread and where its next job is put.
struct Worker {
    job: Mutex<Option<Job>>,
    thread: Thread,
}

/// The threads.
pub struct Workers {
    idle: Mutex<Vec<Arc<Worker>>>,
    nothing: Arc<File>,
    /// Threads there are.
    alive: AtomicUsize,
    /// One that leaves stays until the others have gone, to give back memory.
    has_janitor: AtomicBool,
}

impl Workers {
    /// None yet.
    pub fn new() -> io::Result<Arc<Workers>> {
        // At its end, as /dev/null would be, which a bare root does not have.
        let (nothing, _) = UnixStream::pair()?;
        let nothing = File::from(OwnedFd::from(nothing));
        Ok(Arc::new(Workers {
            idle: Mutex::new(Vec::new()),
            nothing: Arc::new(nothing),
            alive: AtomicUsize::new(0),
            has_janitor: AtomicBool::new(false),
        }))
    }

    /// Gives `job` to a waiting thread or a new one. If none can be had the
    /// job is dropped, and with it all that it holds.
    pub fn run(self: &Arc<Workers>, job: Job) -> io::Result<()> {
        let waiting = crate::lock(&self.idle).pop();
        if let Some(worker) = waiting {
            *crate::lock(&worker.job) = Some(job);
            worker.thread.unpark();
            return Ok(());
        }
        let buffer = Buffer::new(Arc::clone(&self.nothing));
        let workers = Arc::clone(self);
        sys::start_thread(STACK, move || workers.work(job, buffer))
    }

    /// A thread's life.
    fn work(&self, first: Job, mut buffer: Buffer) {
        let me = Arc::new(Worker {
            job: Mutex::new(None),
            thread: thread::current(),
        });
        self.alive.fetch_add(1, Relaxed);
        let mut next = Some(first);
        while let Some(job) = next {
            job(&mut buffer);
            crate::lock(&self.idle).push(Arc::clone(&me));
            next = self.wait(&me);
        }
        drop(buffer);
        let left = self.alive.fetch_sub(1, Relaxed);
        if crate::lock(&self.idle).is_empty() && !self.has_janitor.swap(true, Relaxed) {
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
    fn wait(&self, me: &Arc<Worker>) -> Option<Job> {
        let end = Instant::now() + PATIENCE;
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
            if let Some(at) = idle.iter().position(|other| Arc::ptr_eq(other, me)) {
                idle.remove(at);
                return None;
            }
            // Taken from the list already: the job is on its way.
            drop(idle);
            thread::park_timeout(Duration::from_millis(1));
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
            workers
                .run(Box::new(move |_| {
                    send.send(thread::current().id()).unwrap()
                }))
                .unwrap();
            seen.push(receive.recv().unwrap());
            while crate::lock(&workers.idle).is_empty() {
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
            workers
                .run(Box::new(move |_| {
                    barrier.wait();
                }))
                .unwrap();
        }
        barrier.wait();
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
