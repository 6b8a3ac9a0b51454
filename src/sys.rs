//! The operating system calls that std does not offer, and the only unsafe
//! code of the package.
//!
//! Every foreign function sits behind a safe one that turns -1 into an
//! [`io::Error`]. Nothing here knows what pen is; nothing here keeps state but
//! what the C library keeps. The C library is the one that std links already,
//! so its functions are declared here instead of taking a package for them.
//! Sources: POSIX.1-2017, the Linux and BSD manual pages, and the C headers
//! for numbers that differ between systems.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_char, c_int, c_uint, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

mod layout;
mod number;
mod place;
pub use layout::LocalTime;
use layout::*;
pub use number::O_NOFOLLOW;
use number::*;
pub use place::Place;

unsafe extern "C" {
    fn fork() -> c_int;
    fn setsid() -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    fn geteuid() -> c_uint;
    fn kill(pid: c_int, signal: c_int) -> c_int;
    fn umask(mask: ModeT) -> ModeT;
    fn setuid(uid: c_uint) -> c_int;
    fn setgid(gid: c_uint) -> c_int;
    fn setgroups(n: GroupCount, groups: *const c_uint) -> c_int;
    fn getrlimit(resource: c_int, limit: *mut Rlimit) -> c_int;
    fn setrlimit(resource: c_int, limit: *const Rlimit) -> c_int;
    #[cfg_attr(target_os = "netbsd", link_name = "__sigemptyset14")]
    fn sigemptyset(set: *mut SigSet) -> c_int;
    #[cfg_attr(target_os = "netbsd", link_name = "__sigaddset14")]
    fn sigaddset(set: *mut SigSet, signal: c_int) -> c_int;
    fn pthread_sigmask(how: c_int, set: *const SigSet, old: *mut SigSet) -> c_int;
    fn sigwait(set: *const SigSet, signal: *mut c_int) -> c_int;
    #[cfg_attr(target_os = "netbsd", link_name = "__localtime_r50")]
    #[cfg_attr(
        all(target_env = "musl", target_pointer_width = "32"),
        link_name = "__localtime64_r"
    )]
    fn localtime_r(time: *const TimeT, tm: *mut Tm) -> *mut Tm;
    fn openlog(ident: *const c_char, option: c_int, facility: c_int);
    fn syslog(priority: c_int, format: *const c_char, ...);
    #[cfg_attr(target_os = "netbsd", link_name = "__socket30")]
    fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, addr: *const c_void, len: c_uint) -> c_int;
    fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn connect(fd: c_int, addr: *const c_void, len: c_uint) -> c_int;
    fn shutdown(fd: c_int, how: c_int) -> c_int;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: c_uint)
    -> c_int;
    fn poll(fds: *mut PollFd, n: NfdsT, timeout_ms: c_int) -> c_int;
    fn pthread_attr_init(attr: *mut ThreadAttr) -> c_int;
    fn pthread_attr_destroy(attr: *mut ThreadAttr) -> c_int;
    fn pthread_attr_setstacksize(attr: *mut ThreadAttr, size: usize) -> c_int;
    fn pthread_attr_setdetachstate(attr: *mut ThreadAttr, state: c_int) -> c_int;
    fn pthread_create(
        thread: *mut usize,
        attr: *const ThreadAttr,
        start: extern "C" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> c_int;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    fn mallopt(what: c_int, value: c_int) -> c_int;
    #[cfg(target_os = "linux")]
    fn pthread_self() -> usize;
    #[cfg(target_os = "linux")]
    fn pthread_setschedparam(thread: usize, policy: c_int, param: *const SchedParam) -> c_int;
}

/// -1 means that errno says why.
fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(result)
    }
}

/// The pthread functions return their error.
fn check_error(error: c_int) -> io::Result<()> {
    match error {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(error)),
    }
}

// --- processes -------------------------------------------------------------

/// Which of the two processes a [`split`] returned in.
#[derive(Debug, PartialEq, Eq)]
pub enum Side {
    /// The process that called.
    Parent,
    /// The new one.
    Child,
}

/// Forks. To be called before any thread exists: the child of a threaded
/// process may hardly do anything (POSIX, `fork`).
pub fn split() -> io::Result<Side> {
    // SAFETY: no arguments; the caller has one thread, so the child's copy of
    // every lock is free and the heap is whole.
    match check(unsafe { fork() })? {
        0 => Ok(Side::Child),
        _ => Ok(Side::Parent),
    }
}

/// Leaves the terminal: a session of its own.
pub fn new_session() -> io::Result<()> {
    // SAFETY: no arguments, no memory.
    check(unsafe { setsid() }).map(drop)
}

/// Puts `file` in place of standard input, output and error.
pub fn replace_stdio(file: impl AsFd) -> io::Result<()> {
    for target in 0..=2 {
        // SAFETY: two descriptor numbers; `file` is open for the call, and
        // std treats 0 to 2 as always open, which they still are.
        check(unsafe { dup2(file.as_fd().as_raw_fd(), target) })?;
    }
    Ok(())
}

/// Whether this process may do what only root may.
pub fn is_root() -> bool {
    // SAFETY: no arguments, cannot fail.
    unsafe { geteuid() == 0 }
}

/// Becomes another user for good: groups first, while that is still allowed.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and count describe `groups`, which is only read.
    check(unsafe { setgroups(groups.len() as GroupCount, groups.as_ptr()) })?;
    // SAFETY: plain numbers.
    check(unsafe { setgid(gid) })?;
    // SAFETY: plain numbers.
    check(unsafe { setuid(uid) }).map(drop)
}

/// Does `work` while new files are made without the permissions in `mask`
/// (at most 0o777). It is the whole process's: call it before threads exist.
pub fn with_umask<R>(mask: u16, work: impl FnOnce() -> R) -> R {
    // SAFETY: a plain number; cannot fail.
    let old = unsafe { umask(ModeT::from(mask)) };
    let result = work();
    // SAFETY: as above.
    unsafe { umask(old) };
    result
}

/// A resource whose limit [`raise_limit`] lifts.
#[derive(Clone, Copy, Debug)]
pub enum Resource {
    /// Size of a core file.
    Core,
    /// Number of open descriptors.
    Files,
}

/// Lifts the soft limit to the hard one and returns what is in force.
pub fn raise_limit(resource: Resource) -> io::Result<u64> {
    let which = match resource {
        Resource::Core => RLIMIT_CORE,
        Resource::Files => RLIMIT_NOFILE,
    };
    let mut limit = Rlimit { cur: 0, max: 0 };
    // SAFETY: `limit` is a valid rlimit to write to.
    check(unsafe { getrlimit(which, &mut limit) })?;
    if limit.cur != limit.max {
        limit.cur = limit.max;
        // SAFETY: `limit` is a valid rlimit to read.
        check(unsafe { setrlimit(which, &limit) })?;
    }
    #[allow(clippy::useless_conversion)] // RlimT is narrower on 32-bit glibc
    Ok(u64::from(limit.cur))
}

/// SCHED_BATCH for this thread and those it starts: a thread that gets data
/// no longer pushes the running one off its processor. Twice the requests at
/// half the processor time under load. Linux only; elsewhere nothing happens.
pub fn batch_scheduling() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        const SCHED_BATCH: c_int = 3;
        let param = SchedParam([0; 12]); // priority 0, all that BATCH allows
        // SAFETY: the calling thread's own handle, and a zeroed parameter
        // block at least as large as the C library's.
        check_error(unsafe { pthread_setschedparam(pthread_self(), SCHED_BATCH, &param) })?;
    }
    Ok(())
}

// --- threads ---------------------------------------------------------------

/// Starts a thread that nobody waits for. Leaner than std's: that gives each
/// thread a signal stack, two memory maps more of the 65,530 that Linux allows
/// a process, and ends the process when they cannot be had.
pub fn start_thread(stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    type Work = Box<dyn FnOnce() + Send>;
    extern "C" fn run(arg: *mut c_void) -> *mut c_void {
        // SAFETY: `arg` is the box that was made into a pointer below, and
        // given to this thread alone.
        let work = unsafe { Box::from_raw(arg.cast::<Work>()) };
        work();
        std::ptr::null_mut()
    }
    let mut attr = ThreadAttr([0; 128]);
    let mut thread = 0;
    // SAFETY: `attr` is at least as large and aligned as pthread_attr_t.
    check_error(unsafe { pthread_attr_init(&mut attr) })?;
    // SAFETY: initialised above; a size below the system's least is refused.
    let mut result = check_error(unsafe { pthread_attr_setstacksize(&mut attr, stack) });
    if result.is_ok() {
        // SAFETY: initialised above, and one of the states there are.
        result =
            check_error(unsafe { pthread_attr_setdetachstate(&mut attr, PTHREAD_CREATE_DETACHED) });
    }
    if result.is_ok() {
        let work: Work = Box::new(work);
        let arg = Box::into_raw(Box::new(work));
        // SAFETY: `attr` is initialised, `thread` has room for the handle, and
        // `run` takes what `arg` points to.
        result = check_error(unsafe { pthread_create(&mut thread, &attr, run, arg.cast()) });
        if result.is_err() {
            // SAFETY: no thread has it; it goes, with all that it holds.
            drop(unsafe { Box::from_raw(arg) });
        }
    }
    // SAFETY: initialised above, and not used any more.
    unsafe { pthread_attr_destroy(&mut attr) };
    result
}

/// Makes memory of this size or more come from the system and go back to it at
/// once. That is what all C libraries do, but glibc raises its limit as soon
/// as such memory is freed, and keeps the buffers of all that load ever needed.
pub fn return_memory_from(size: usize) {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        const M_MMAP_THRESHOLD: c_int = -3;
        let size = c_int::try_from(size).unwrap_or(c_int::MAX);
        // SAFETY: plain numbers.
        unsafe { mallopt(M_MMAP_THRESHOLD, size) };
    }
    #[cfg(not(all(target_os = "linux", target_env = "gnu")))]
    let _ = size;
}

// --- signals ---------------------------------------------------------------

/// What a signal asks of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// HUP: reopen the log, read the configuration again.
    Reload,
    /// USR1: report.
    Report,
    /// TERM or INT: end.
    Stop,
}

/// The signals that pen waits for, blocked in every thread started later.
pub struct Signals(SigSet);

impl Signals {
    /// Blocks them for this thread and all that it starts, so that they stay
    /// pending until [`Signals::wait`]. SIGPIPE is ignored by std already.
    pub fn block() -> io::Result<Signals> {
        let mut set = SigSet([0; 128]);
        // SAFETY: `set` is at least as large and aligned as sigset_t.
        check(unsafe { sigemptyset(&mut set) })?;
        for signal in [SIGHUP, SIGUSR1, SIGTERM, SIGINT] {
            // SAFETY: initialised above.
            check(unsafe { sigaddset(&mut set, signal) })?;
        }
        // SAFETY: a valid set; no old set is asked for.
        check_error(unsafe { pthread_sigmask(SIG_BLOCK, &set, std::ptr::null_mut()) })?;
        Ok(Signals(set))
    }

    /// Waits for the next of them.
    pub fn wait(&self) -> io::Result<Signal> {
        let mut signal: c_int = 0;
        // SAFETY: a valid set and a place for the number.
        check_error(unsafe { sigwait(&self.0, &mut signal) })?;
        Ok(match signal {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::Report,
            _ => Signal::Stop,
        })
    }
}

/// Sends this process TERM, so that it ends as if told from outside.
pub fn ask_to_stop() {
    if let Ok(pid) = c_int::try_from(std::process::id()) {
        // SAFETY: plain numbers. It cannot fail: the process is there.
        unsafe { kill(pid, SIGTERM) };
    }
}

// --- time and the system log -----------------------------------------------

/// Local time of `unix` seconds since 1970. The time zone is read when first
/// asked: ask once before chroot.
pub fn local_time(unix: u64) -> LocalTime {
    let time = TimeT::try_from(unix).unwrap_or(TimeT::MAX);
    let mut tm = Tm {
        sec: 0,
        min: 0,
        hour: 0,
        mday: 1,
        mon: 0,
        year: 70,
        wday: 0,
        yday: 0,
        isdst: 0,
        gmtoff: 0,
        zone: std::ptr::null(),
    };
    // SAFETY: both point to valid values; on failure (a year that does not
    // fit) `tm` is left as it is.
    unsafe { localtime_r(&time, &mut tm) };
    LocalTime {
        year: tm.year.saturating_add(1900),
        month: tm.mon.saturating_add(1),
        day: tm.mday,
        hour: tm.hour,
        minute: tm.min,
        second: tm.sec,
    }
}

/// Connects to the system log under this name, facility user. Before chroot.
pub fn open_syslog(name: &'static CStr) {
    // SAFETY: the name is static, as openlog keeps the pointer.
    unsafe { openlog(name.as_ptr(), LOG_PID | LOG_NDELAY, LOG_USER) }
}

/// Writes one line to the system log, at priority "notice".
pub fn write_syslog(text: &str) {
    let format: &CStr = c"%s";
    let text = CString::new(text.replace('\0', ".")).unwrap_or_default();
    // SAFETY: the format takes exactly the one string that is given.
    unsafe { syslog(LOG_NOTICE, format.as_ptr(), text.as_ptr()) }
}

// --- sockets ---------------------------------------------------------------

/// A new stream socket that suits `place`.
pub fn stream_socket(place: Place) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers.
    let fd = check(unsafe { socket(place.family(), SOCK_STREAM, 0) })?;
    // SAFETY: a descriptor just made, that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds `socket` to an address of this host or to a path.
pub fn bind_to(socket: impl AsFd, place: Place) -> io::Result<()> {
    let raw = place.raw()?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `raw` holds at least `len` bytes of a valid address.
    check(unsafe { bind(fd, raw.bytes.as_ptr().cast(), c_uint::from(raw.len)) }).map(drop)
}

/// A bound stream socket that accepts, sharing its port (SO_REUSEADDR and
/// SO_REUSEPORT) as pen's always have.
pub fn listening_socket(place: Place, backlog: u32) -> io::Result<OwnedFd> {
    let socket = stream_socket(place)?;
    if let Place::Inet(_) = place {
        set_flag(&socket, SOL_SOCKET, SO_REUSEADDR)?;
        set_flag(&socket, SOL_SOCKET, SO_REUSEPORT)?;
    }
    bind_to(&socket, place)?;
    let backlog = c_int::try_from(backlog).unwrap_or(c_int::MAX);
    // SAFETY: plain numbers, the descriptor is open.
    check(unsafe { listen(socket.as_fd().as_raw_fd(), backlog) })?;
    Ok(socket)
}

/// Connects `socket`. If it is non-blocking, `Ok(false)` says that the
/// connect goes on: see [`wait_writable`].
pub fn connect_to(socket: impl AsFd, place: Place) -> io::Result<bool> {
    let raw = place.raw()?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `raw` holds at least `len` bytes of a valid address.
    let done = unsafe { connect(fd, raw.bytes.as_ptr().cast(), c_uint::from(raw.len)) };
    match check(done) {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(EINPROGRESS) => Ok(false),
        Err(e) => Err(e),
    }
}

fn set_flag(socket: impl AsFd, level: c_int, name: c_int) -> io::Result<()> {
    let on: c_int = 1;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: pointer and length describe `on`.
    let done = unsafe { setsockopt(fd, level, name, (&raw const on).cast(), 4) };
    check(done).map(drop)
}

/// SO_KEEPALIVE: notice a peer that vanished without a word.
pub fn keep_alive(socket: impl AsFd) -> io::Result<()> {
    set_flag(socket, SOL_SOCKET, SO_KEEPALIVE)
}

/// Ends one or both directions of a connected socket. An error (the peer has
/// gone already) means that there is nothing left to end.
pub fn shut(socket: impl AsFd, how: std::net::Shutdown) {
    let how = match how {
        std::net::Shutdown::Read => SHUT_RD,
        std::net::Shutdown::Write => SHUT_WR,
        std::net::Shutdown::Both => SHUT_RDWR,
    };
    // SAFETY: plain numbers, the descriptor is open.
    unsafe { shutdown(socket.as_fd().as_raw_fd(), how) };
}

fn wait_for(entries: &mut [PollFd], limit: Option<Duration>) -> io::Result<bool> {
    let end = limit.map(|limit| Instant::now() + limit);
    loop {
        let timeout = match end {
            None => -1,
            // Rounded up, so that the limit has passed when poll says so.
            Some(end) => end
                .saturating_duration_since(Instant::now())
                .as_micros()
                .div_ceil(1000)
                .try_into()
                .unwrap_or(c_int::MAX),
        };
        // SAFETY: pointer and count describe `entries`.
        match check(unsafe { poll(entries.as_mut_ptr(), entries.len() as NfdsT, timeout) }) {
            Ok(n) => return Ok(n > 0),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

/// Waits until `socket` can be written or has failed, `false` after `limit`.
pub fn wait_writable(socket: impl AsFd, limit: Duration) -> io::Result<bool> {
    wait_for(&mut [watch(&socket, POLLOUT)], Some(limit))
}

/// Waits until `socket` can be read or has ended, `false` after `limit`.
pub fn wait_readable(socket: impl AsFd, limit: Duration) -> io::Result<bool> {
    wait_for(&mut [watch(&socket, POLLIN)], Some(limit))
}

/// Waits until one of the two can be read, however long it takes.
pub fn wait_either(a: impl AsFd, b: impl AsFd) -> io::Result<()> {
    wait_for(&mut [watch(&a, POLLIN), watch(&b, POLLIN)], None).map(drop)
}

fn watch(socket: &impl AsFd, events: i16) -> PollFd {
    let fd = socket.as_fd().as_raw_fd();
    PollFd {
        fd,
        events,
        revents: 0,
    }
}

/// Whether `error` says that this host has run out of something (descriptors,
/// memory, ports), which is no fault of the peer's.
pub fn is_exhausted(error: &io::Error) -> bool {
    use io::ErrorKind::{AddrNotAvailable, OutOfMemory};
    matches!(error.raw_os_error(), Some(EMFILE | ENFILE | ENOBUFS))
        || matches!(error.kind(), AddrNotAvailable | OutOfMemory)
}
