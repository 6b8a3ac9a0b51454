//! Threads that serve one connection after the other.
//!
//! A finished thread waits on a list for its next job. The thread that has waited for
//! the shortest time is taken first, as its stack and buffer are still in the cache.
//! A thread is started only when the list is empty, and ends when it has waited for
//! long, which gives its memory back. Threads are hired before there is
//! something to do: a client is accepted only when both of its threads are
//! there. A fresh thread for every connection costs two thirds of the connection
//! rate (measured: its stack is mapped and unmapped each time, and the other
//! processors must hear of it).

use crate::sys;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Condvar, Mutex, OnceLock, PoisonError};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

/// Bytes that one read may bring. Larger reads are no faster (measured). Only pages
/// that data has reached cost memory.
pub(crate) const BUFFER: usize = 256 * 1024;

/// A thread's stack; the deepest call uses about a tenth of it.
const STACK: usize = 64 * 1024;

/// How long a thread waits for its next job.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long the last waiting thread to end gives the others to end, too, before it
/// returns their memory.
const SETTLE: Duration = Duration::from_secs(1);

/// What a thread is given to do, with the thread's copy buffer.
type Job = Box<dyn FnOnce(&mut Buffer) + Send>;

/// A thread's copy buffer: a `BufReader` whose source is changed for every
/// connection, because `io::copy` hands a `BufReader`'s own buffer to the
/// writer after each read. Its source is an `Arc<File>`, as that is the one
/// shared descriptor type whose reads fill a fresh buffer without zeroing it
/// first: pages that data never reached cost nothing. A thread gets its buffer
/// when the first data is there, so that an idle connection has none.
pub(crate) struct Buffer {
    reader: Option<BufReader<Arc<File>>>,
    nothing: Arc<File>,
}

impl Buffer {
    fn new(nothing: Arc<File>) -> Buffer {
        Buffer { reader: None, nothing }
    }

    /// Gives its memory back until data comes.
    pub(crate) fn release(&mut self) {
        self.reader = None;
    }

    /// Lends the reader for one source. A thread that has no memory for it yet
    /// waits for the first data; if the system has none to give, that is an
    /// error. What is left in the buffer afterwards (its receiver has gone) is
    /// thrown away, and the source let go.
    pub(crate) fn lend<R>(
        &mut self,
        source: Arc<File>,
        work: impl FnOnce(&mut BufReader<Arc<File>>) -> io::Result<R>,
    ) -> io::Result<R> {
        if self.reader.is_none() {
            sys::wait_either(&source, &source)?;
            is_to_be_had(BUFFER)?;
        }
        let nothing = || BufReader::with_capacity(BUFFER, Arc::clone(&self.nothing));
        let reader = self.reader.get_or_insert_with(nothing);
        *reader.get_mut() = source;
        let result = work(reader);
        let left = reader.buffer().len();
        reader.consume(left);
        *reader.get_mut() = Arc::clone(&self.nothing);
        result
    }
}

/// Fails if the system refuses this much memory. A buffer is a memory map of its
/// own, and as connections grow in number their maps are the first that Linux
/// refuses (`vm.max_map_count`): that ends one connection, not the process.
fn is_to_be_had(size: usize) -> io::Result<()> {
    let mut probe: Vec<u8> = Vec::new();
    probe.try_reserve_exact(size).map_err(|_| io::ErrorKind::OutOfMemory)?;
    // The compiler leaves out an allocation that nobody looks at.
    drop(std::hint::black_box(probe));
    Ok(())
}

/// Where a thread's next job is put.
#[derive(Default)]
struct Inbox {
    job: Mutex<Option<Job>>,
    /// The thread, from when it runs. Waking it costs a system call only if it
    /// sleeps; with a condition variable that would be always.
    owner: OnceLock<Thread>,
}

/// A waiting thread, hired for one job. If it is dropped without, the thread
/// waits on the list again.
pub(crate) struct Worker {
    workers: Arc<Workers>,
    inbox: Option<Arc<Inbox>>,
}

impl Worker {
    /// Gives the thread its job. It goes back on the list by itself.
    pub(crate) fn run(mut self, job: impl FnOnce(&mut Buffer) + Send + 'static) {
        if let Some(inbox) = self.inbox.take() {
            *crate::lock(&inbox.job) = Some(Box::new(job));
            // A thread that does not run yet looks for a job before it sleeps.
            if let Some(thread) = inbox.owner.get() {
                thread.unpark();
            }
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(inbox) = self.inbox.take() {
            self.workers.put_back(inbox);
        }
    }
}

/// The threads.
pub struct Workers {
    idle: Mutex<Idle>,
    freed: Condvar,
    nothing: Arc<File>,
}

/// Threads that can be hired.
#[derive(Default)]
struct Idle {
    list: Vec<Arc<Inbox>>,
    /// How many callers wait for one.
    wanted: usize,
}

impl Workers {
    /// Makes a list without threads.
    pub(crate) fn new() -> io::Result<Arc<Workers>> {
        // At its end, as /dev/null would be, which a bare root does not have.
        let (nothing, _) = UnixStream::pair()?;
        let nothing = Arc::new(File::from(OwnedFd::from(nothing)));
        Ok(Arc::new(Workers { idle: Mutex::default(), freed: Condvar::new(), nothing }))
    }

    /// Hires a waiting thread, or a new one. If none can be started it waits up
    /// to `limit` for one that is done with its work.
    pub(crate) fn hire(self: &Arc<Workers>, limit: Duration) -> io::Result<Worker> {
        let waiting = crate::lock(&self.idle).list.pop();
        let inbox = match waiting {
            Some(inbox) => inbox,
            None => self.start().or_else(|e| self.wait_for_one(limit).ok_or(e))?,
        };
        Ok(Worker { workers: Arc::clone(self), inbox: Some(inbox) })
    }

    fn start(self: &Arc<Workers>) -> io::Result<Arc<Inbox>> {
        let inbox: Arc<Inbox> = Arc::default();
        let (own, workers) = (Arc::clone(&inbox), Arc::clone(self));
        sys::start_thread(STACK, move || workers.work(&own))?;
        Ok(inbox)
    }

    fn wait_for_one(&self, limit: Duration) -> Option<Arc<Inbox>> {
        let mut idle = crate::lock(&self.idle);
        idle.wanted += 1;
        let waited = self.freed.wait_timeout_while(idle, limit, |idle| idle.list.is_empty());
        let mut idle = waited.unwrap_or_else(PoisonError::into_inner).0;
        idle.wanted -= 1;
        idle.list.pop()
    }

    fn put_back(&self, inbox: Arc<Inbox>) {
        let mut idle = crate::lock(&self.idle);
        idle.list.push(inbox);
        let is_wanted = idle.wanted > 0;
        drop(idle);
        // Waking costs a system call, even if nobody waits.
        if is_wanted {
            self.freed.notify_one();
        }
    }

    /// A thread's life.
    fn work(&self, inbox: &Arc<Inbox>) {
        let _ = inbox.owner.set(thread::current());
        let mut buffer = Buffer::new(Arc::clone(&self.nothing));
        while let Some(job) = self.wait(inbox, &mut buffer) {
            job(&mut buffer);
            self.put_back(Arc::clone(inbox));
        }
    }

    /// The next job; `None` when none came for a while and none is to come.
    fn wait(&self, inbox: &Arc<Inbox>, buffer: &mut Buffer) -> Option<Job> {
        let mut end = Instant::now() + PATIENCE;
        loop {
            let job = crate::lock(&inbox.job).take();
            if job.is_some() {
                return job;
            }
            let left = end.saturating_duration_since(Instant::now());
            if !left.is_zero() {
                thread::park_timeout(left);
                continue;
            }
            buffer.release();
            if self.leave(inbox) {
                return None;
            }
            // It is hired, and its job may still come.
            end = Instant::now() + PATIENCE;
        }
    }

    /// Takes a thread off the list, if it is there. The last one gives back the
    /// memory that all of them have left.
    fn leave(&self, inbox: &Arc<Inbox>) -> bool {
        let mut idle = crate::lock(&self.idle);
        let Some(at) = idle.list.iter().position(|other| Arc::ptr_eq(other, inbox)) else {
            return false;
        };
        idle.list.remove(at);
        let is_last = idle.list.is_empty();
        if is_last {
            idle.list.shrink_to_fit();
        }
        drop(idle);
        if is_last {
            thread::sleep(SETTLE);
            sys::return_memory();
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::sync::mpsc;

    fn start(workers: &Arc<Workers>, work: impl FnOnce() + Send + 'static) {
        workers.hire(Duration::ZERO).unwrap().run(move |_| work());
    }

    fn waiting(workers: &Workers) -> usize {
        crate::lock(&workers.idle).list.len()
    }

    #[test]
    fn a_finished_thread_is_used_again() {
        let workers = Workers::new().unwrap();
        let (send, receive) = mpsc::channel();
        let mut seen = Vec::new();
        for _ in 0..3 {
            let send = send.clone();
            start(&workers, move || send.send(thread::current().id()).unwrap());
            seen.push(receive.recv().unwrap());
            while waiting(&workers) == 0 {
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
            start(&workers, move || {
                barrier.wait();
            });
        }
        barrier.wait();
    }

    #[test]
    fn who_is_hired_is_nobody_elses_until_dropped() {
        let workers = Workers::new().unwrap();
        let hire = || workers.hire(Duration::ZERO).unwrap();
        let (a, b) = (hire(), hire());
        let inbox = |worker: &Worker| Arc::as_ptr(worker.inbox.as_ref().unwrap());
        assert_ne!(inbox(&a), inbox(&b));
        assert_eq!(waiting(&workers), 0);
        let (first, second) = (inbox(&a), inbox(&b));
        drop(b);
        drop(a);
        assert_eq!(waiting(&workers), 2);
        // Who waited shortest is taken first.
        let (a, b) = (hire(), hire());
        assert_eq!((inbox(&a), inbox(&b)), (first, second));
    }

    /// As the accept loop does, from many sides: each hires two threads, of which
    /// the first gets the second for a job of its own, or gives it back.
    #[test]
    fn many_hire_at_once() {
        const ROUNDS: usize = 1000;
        let workers = Workers::new().unwrap();
        let workers = &workers;
        let serve = move |number: usize| {
            let (send, receive) = mpsc::channel();
            for round in 0..ROUNDS {
                let hire = || workers.hire(Duration::from_secs(20)).unwrap();
                let (first, second, send) = (hire(), hire(), send.clone());
                first.run(move |_| {
                    send.send(()).unwrap();
                    if round % 3 > 0 {
                        second.run(move |_| send.send(()).unwrap());
                    }
                });
                if (round + number) % 4 == 0 {
                    receive.recv().unwrap();
                }
            }
            drop(send);
            ROUNDS / 4 + receive.iter().count()
        };
        let jobs = thread::scope(|scope| {
            let all: Vec<_> = (0..8).map(|n| scope.spawn(move || serve(n))).collect();
            let counts = all.into_iter().map(|one| one.join().unwrap());
            counts.sum::<usize>()
        });
        // None is lost and none is done twice.
        assert_eq!(jobs, 8 * (ROUNDS + ROUNDS * 2 / 3));
        // All that were started wait: each has the list's place and its own.
        while Arc::strong_count(workers) != waiting(workers) + 1 {
            thread::yield_now();
        }
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
        let read = buffer.lend(again, |reader| reader.read(&mut [0; 3])).unwrap();
        assert_eq!(read, 0);
    }
}
