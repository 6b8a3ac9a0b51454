//! The operating system calls that std does not offer, and the only unsafe
//! code of the package.
//!
//! Every foreign function sits behind a safe one that turns -1 into an
//! [`io::Error`]. Nothing in this file knows what pen is or keeps state, except
//! for what the C library keeps. The C library is the one that std links already,
//! so its functions are declared here instead of taking a package for them.
//! Sources: POSIX.1-2017, the Linux and BSD manual pages, and the C headers
//! for numbers that differ between systems.

// For this file alone: the test `rooms` says so.
#![allow(unsafe_code)]

use super::datagram::*;
use super::date::DateTime;
use super::layout::*;
use super::number::*;
use super::result::{again, check, check_error, check_size};
use super::sockaddr::{Address, RawAddr};
use super::this_process::allowed_stack;
#[cfg(target_os = "linux")]
use std::ffi::c_ulong;
use std::ffi::{CStr, CString, c_char, c_int, c_long, c_uint, c_void};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

// Those are `safe` that touch no memory of this program: the kernel or the C library
// checks the numbers that they are given. `fork` takes none, and yet is not: see there.
unsafe extern "C" {
    fn fork() -> c_int;
    pub(super) safe fn setsid() -> c_int;
    fn dup2(from: c_int, to: c_int) -> c_int;
    pub(super) safe fn sysconf(name: c_int) -> c_long;
    pub(super) safe fn geteuid() -> c_uint;
    pub(super) safe fn getegid() -> c_uint;
    pub(super) safe fn seteuid(uid: c_uint) -> c_int;
    pub(super) safe fn setegid(gid: c_uint) -> c_int;
    pub(super) safe fn kill(pid: c_int, signal: c_int) -> c_int;
    fn waitpid(pid: c_int, status: *mut c_int, options: c_int) -> c_int;
    fn pipe2(fds: *mut c_int, flags: c_int) -> c_int;
    fn posix_spawn(
        pid: *mut c_int,
        path: *const c_char,
        files: *const SpawnFiles,
        attr: *const SpawnAttr,
        args: *const *const c_char,
        env: *const *const c_char,
    ) -> c_int;
    fn posix_spawn_file_actions_init(files: *mut SpawnFiles) -> c_int;
    fn posix_spawn_file_actions_destroy(files: *mut SpawnFiles) -> c_int;
    fn posix_spawn_file_actions_adddup2(files: *mut SpawnFiles, from: c_int, to: c_int) -> c_int;
    fn posix_spawnattr_init(attr: *mut SpawnAttr) -> c_int;
    fn posix_spawnattr_destroy(attr: *mut SpawnAttr) -> c_int;
    fn posix_spawnattr_setflags(attr: *mut SpawnAttr, flags: i16) -> c_int;
    fn posix_spawnattr_setsigmask(attr: *mut SpawnAttr, set: *const SigSet) -> c_int;
    fn posix_spawnattr_setsigdefault(attr: *mut SpawnAttr, set: *const SigSet) -> c_int;
    pub(super) safe fn umask(mask: ModeT) -> ModeT;
    pub(super) safe fn setuid(uid: c_uint) -> c_int;
    pub(super) safe fn setgid(gid: c_uint) -> c_int;
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
    #[cfg_attr(target_os = "netbsd", link_name = "__clock_gettime50")]
    #[cfg_attr(
        all(target_env = "musl", target_pointer_width = "32"),
        link_name = "__clock_gettime64"
    )]
    fn clock_gettime(clock: c_int, time: *mut TimeSpec) -> c_int;
    fn openlog(ident: *const c_char, option: c_int, facility: c_int);
    fn syslog(priority: c_int, format: *const c_char, ...);
    #[cfg_attr(target_os = "netbsd", link_name = "__socket30")]
    pub(super) safe fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int;
    fn bind(fd: c_int, addr: *const c_void, len: c_uint) -> c_int;
    pub(super) safe fn listen(fd: c_int, backlog: c_int) -> c_int;
    fn connect(fd: c_int, addr: *const c_void, len: c_uint) -> c_int;
    pub(super) safe fn shutdown(fd: c_int, how: c_int) -> c_int;
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_void, len: c_uint)
    -> c_int;
    fn getsockopt(
        fd: c_int,
        level: c_int,
        name: c_int,
        value: *mut c_void,
        len: *mut c_uint,
    ) -> c_int;
    fn getsockname(fd: c_int, addr: *mut c_void, len: *mut c_uint) -> c_int;
    fn getpeername(fd: c_int, addr: *mut c_void, len: *mut c_uint) -> c_int;
    fn recvmsg(fd: c_int, message: *mut MsgHdr, flags: c_int) -> isize;
    fn sendmsg(fd: c_int, message: *const MsgHdr, flags: c_int) -> isize;
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
    pub(super) safe fn mallopt(what: c_int, value: c_int) -> c_int;
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    pub(super) safe fn malloc_trim(pad: usize) -> c_int;
    #[cfg(target_os = "linux")]
    pub(super) safe fn getauxval(name: c_ulong) -> c_ulong;
    #[cfg(target_os = "linux")]
    pub(super) safe fn prctl(option: c_int, ...) -> c_int;
    #[cfg(target_os = "freebsd")]
    fn procctl(kind: c_int, id: i64, command: c_int, data: *mut c_int) -> c_int;
    #[cfg(target_os = "openbsd")]
    fn pledge(promises: *const c_char, of_programs: *const c_char) -> c_int;
    #[cfg(target_os = "linux")]
    pub(super) safe fn pthread_self() -> usize;
    #[cfg(target_os = "linux")]
    fn pthread_setschedparam(thread: usize, policy: c_int, param: *const SchedParam) -> c_int;
}

// --- processes -------------------------------------------------------------

/// Forks. To be called before any thread exists: the child of a threaded
/// process may hardly do anything (POSIX, `fork`).
pub(crate) fn fork_process() -> io::Result<Side> {
    // SAFETY: no arguments; the caller has one thread, so the child's copy of
    // every lock is free and the heap is whole.
    match check(unsafe { fork() })? {
        0 => Ok(Side::Child),
        _ => Ok(Side::Parent),
    }
}

/// Starts the program at `path` with these arguments, the first of which is its
/// name, and this environment, and returns its number. No signal is blocked or ignored.
/// It has those of standard input, output and error that are not in `files`, and
/// `files`, each under the number beside it, which must be another one than it has here.
/// It leads a process group of its own if `is_apart`. Any thread may call this:
/// `posix_spawn` runs nothing of this process in the new one.
pub(super) fn spawn(
    path: &CStr,
    args: &[CString],
    env: &[CString],
    files: &[(BorrowedFd, c_int)],
    is_apart: bool,
) -> io::Result<c_int> {
    let list = |words: &[CString]| {
        let end = [std::ptr::null()];
        words.iter().map(|word| word.as_ptr()).chain(end).collect::<Vec<_>>()
    };
    let (args, env, wanted) = (list(args), list(env), files);
    let (none, ignored) = (signal_set([])?, signal_set([SIGPIPE])?);
    let group = if is_apart { POSIX_SPAWN_SETPGROUP } else { 0 };
    let flags = group | POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK;
    let (mut files, mut attr, mut pid) = (SpawnFiles([0; 128]), SpawnAttr([0; 512]), 0);
    // SAFETY: `files` is at least as large and aligned as posix_spawn_file_actions_t.
    check_error(unsafe { posix_spawn_file_actions_init(&mut files) })?;
    // SAFETY: `attr` is at least as large and aligned as posix_spawnattr_t.
    check_error(unsafe { posix_spawnattr_init(&mut attr) })?;
    let mut start = |files: &mut SpawnFiles, attr: &mut SpawnAttr| {
        for (from, to) in wanted {
            let from = from.as_raw_fd();
            // SAFETY: initialised above; only numbers are kept.
            check_error(unsafe { posix_spawn_file_actions_adddup2(files, from, *to) })?;
        }
        // SAFETY: initialised above. The group's number is 0, a new one (POSIX).
        check_error(unsafe { posix_spawnattr_setflags(attr, flags) })?;
        // SAFETY: both are initialised; the set is copied.
        check_error(unsafe { posix_spawnattr_setsigmask(attr, &none) })?;
        // SAFETY: both are initialised; the set is copied.
        check_error(unsafe { posix_spawnattr_setsigdefault(attr, &ignored) })?;
        let (path, args, env) = (path.as_ptr(), args.as_ptr(), env.as_ptr());
        // SAFETY: `files` and `attr` are initialised, `path` and what `args` and `env`
        // point to are strings that live through the call, with a null at the end.
        check_error(unsafe { posix_spawn(&mut pid, path, files, attr, args, env) })
    };
    let result = start(&mut files, &mut attr);
    // SAFETY: initialised above, and not used any more.
    unsafe { posix_spawnattr_destroy(&mut attr) };
    // SAFETY: initialised above, and not used any more.
    unsafe { posix_spawn_file_actions_destroy(&mut files) };
    result.map(|()| pid)
}

/// Takes a descriptor that this process was started with or was sent, under another
/// number, which programs that it starts do not have. To be called once for each.
pub(super) fn adopt(number: c_int) -> io::Result<OwnedFd> {
    // SAFETY: borrowed for the duplication alone, which fails if it is not open.
    let own = unsafe { BorrowedFd::borrow_raw(number) }.try_clone_to_owned()?;
    // SAFETY: open, and nobody in this process owns it, as it was not opened here.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(own)
}

/// Waits for the end of a child process, which exists no longer then; `None` if it
/// is not over yet and `options` is WNOHANG.
pub(super) fn wait_for_child(pid: c_int, options: c_int) -> io::Result<Option<ExitStatus>> {
    let mut status = 0;
    // SAFETY: a place for the status.
    match again(|| check(unsafe { waitpid(pid, &mut status, options) }))? {
        0 => Ok(None),
        _ => Ok(Some(ExitStatus::from_raw(status))),
    }
}

/// Makes a pipe, whose ends programs that are started do not have: where it is read
/// and where it is written.
pub(super) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    let mut ends = [0; 2];
    // SAFETY: a place for two descriptors.
    check(unsafe { pipe2(ends.as_mut_ptr(), O_CLOEXEC) })?;
    // SAFETY: descriptors just made, that nobody else owns.
    let [read, write] = ends.map(|fd| unsafe { OwnedFd::from_raw_fd(fd) });
    Ok((read, write))
}

/// Puts `file` in place of standard input, output and error.
pub(crate) fn replace_stdio(file: impl AsFd) -> io::Result<()> {
    for target in 0..=2 {
        // SAFETY: `file` is open for the call, and std treats 0 to 2 as always
        // open, which they still are.
        check(unsafe { dup2(file.as_fd().as_raw_fd(), target) })?;
    }
    Ok(())
}

/// Becomes another user for good. The groups are set first, while that is still
/// allowed.
pub(crate) fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    // SAFETY: pointer and count describe `groups`, which is only read.
    check(unsafe { setgroups(groups.len() as GroupCount, groups.as_ptr()) })?;
    check(setgid(gid))?;
    check(setuid(uid)).map(drop)
}

/// Takes rights from this process for good, as far as the system can: from this thread
/// and those it starts. What [`spawn`] starts has fewer, too, where that is said.
///
/// * Linux and FreeBSD: programs gain nothing by setuid and setgid bits and by
///   capabilities of their files (no_new_privs). Where this program has rights by such a
///   bit, it keeps all: the one that it is restarted as would not get them.
/// * OpenBSD: what remains is to read and write files, to use sockets, to pass them on, to
///   look names up, and to start programs, which have all rights again (pledge). A call
///   that this forbids fails.
pub(crate) fn limit_rights() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if getauxval(AT_SECURE) == 0 {
        let (on, none): (c_ulong, c_ulong) = (1, 0);
        check(prctl(PR_SET_NO_NEW_PRIVS, on, none, none, none))?;
    }
    #[cfg(target_os = "freebsd")]
    {
        let mut on = PROC_NO_NEW_PRIVS_ENABLE;
        // SAFETY: a number to read, as this request wants. The process 0 is this one.
        check(unsafe { procctl(P_PID, 0, PROC_NO_NEW_PRIVS_CTL, &mut on) })?;
    }
    #[cfg(target_os = "openbsd")]
    {
        let promises = c"stdio rpath wpath cpath fattr inet unix dns proc exec sendfd recvfd error";
        // SAFETY: a string to read. Null leaves the programs that are started alone.
        check(unsafe { pledge(promises.as_ptr(), std::ptr::null()) })?;
    }
    Ok(())
}

/// Lifts the soft limit to the hard one and returns what is in force.
pub fn raise_limit(resource: Resource) -> io::Result<u64> {
    let which = resource as c_int;
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
pub(crate) fn batch_scheduling() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        let param = SchedParam([0; 12]); // priority 0, all that BATCH allows
        // SAFETY: this thread's handle, and a zeroed parameter block at least
        // as large as the C library's.
        check_error(unsafe { pthread_setschedparam(pthread_self(), SCHED_BATCH, &param) })?;
    }
    Ok(())
}

// --- threads ---------------------------------------------------------------

/// Starts a thread that nobody waits for. Its stack has `stack` bytes, or more
/// where the system wants that. Leaner than std's: that gives each
/// thread a signal stack, two memory maps more of the 65,530 that Linux allows
/// a process, and ends the process when they cannot be had.
pub(crate) fn start_thread(stack: usize, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
    type Work = Box<dyn FnOnce() + Send>;
    extern "C" fn run(arg: *mut c_void) -> *mut c_void {
        // SAFETY: `arg` is the box that was made into a pointer below, and
        // given to this thread alone.
        let work = unsafe { Box::from_raw(arg.cast::<Work>()) };
        work();
        std::ptr::null_mut()
    }
    let work: Box<Work> = Box::new(Box::new(work));
    let mut attr = ThreadAttr([0; 128]);
    // SAFETY: `attr` is at least as large and aligned as pthread_attr_t.
    check_error(unsafe { pthread_attr_init(&mut attr) })?;
    let start = |attr: &mut ThreadAttr| {
        let detached = PTHREAD_CREATE_DETACHED;
        // SAFETY: initialised above; a size below the system's least is refused.
        check_error(unsafe { pthread_attr_setstacksize(attr, allowed_stack(stack)) })?;
        // SAFETY: initialised above, and one of the states there are.
        check_error(unsafe { pthread_attr_setdetachstate(attr, detached) })?;
        let (mut thread, arg) = (0, Box::into_raw(work));
        // SAFETY: `attr` is initialised, `thread` has room for the handle, and
        // `run` takes what `arg` points to.
        check_error(unsafe { pthread_create(&mut thread, attr, run, arg.cast()) }).inspect_err(
            // SAFETY: no thread has it; it goes, with all that it holds.
            |_| drop(unsafe { Box::from_raw(arg) }),
        )
    };
    let result = start(&mut attr);
    // SAFETY: initialised above, and not used any more.
    unsafe { pthread_attr_destroy(&mut attr) };
    result
}

// --- signals ---------------------------------------------------------------

pub(super) fn signal_set<const N: usize>(signals: [c_int; N]) -> io::Result<SigSet> {
    let mut set = SigSet([0; 128]);
    // SAFETY: `set` is at least as large and aligned as sigset_t.
    check(unsafe { sigemptyset(&mut set) })?;
    for signal in signals {
        // SAFETY: initialised above.
        check(unsafe { sigaddset(&mut set, signal) })?;
    }
    Ok(set)
}

/// The signals that pen waits for. They are blocked in every thread that is started
/// later.
pub(crate) struct Signals(SigSet);

impl Signals {
    /// Blocks them for this thread and all that it starts, so that they stay
    /// pending until [`Signals::wait`]. SIGPIPE is ignored by std already.
    pub(crate) fn block() -> io::Result<Signals> {
        let set = signal_set([SIGHUP, SIGUSR1, SIGUSR2, SIGTERM, SIGINT])?;
        // SAFETY: a valid set; no old set is asked for.
        check_error(unsafe { pthread_sigmask(SIG_BLOCK, &set, std::ptr::null_mut()) })?;
        Ok(Signals(set))
    }

    /// Waits for the next of them.
    pub(crate) fn wait(&self) -> io::Result<Signal> {
        let mut signal: c_int = 0;
        // SAFETY: a valid set and a place for the number.
        again(|| check_error(unsafe { sigwait(&self.0, &mut signal) }))?;
        Ok(match signal {
            SIGHUP => Signal::Reload,
            SIGUSR1 => Signal::Report,
            SIGUSR2 => Signal::Restart,
            _ => Signal::Stop,
        })
    }
}

// --- time and the system log -----------------------------------------------

/// Local time of `unix` seconds since 1970; the start of 1900 if the year does not
/// fit. The time zone is read at the first call, which must come before chroot.
pub(crate) fn local_time(unix: u64) -> DateTime {
    let time = TimeT::try_from(unix).unwrap_or(TimeT::MAX);
    let mut tm = Tm { numbers: [0; 9], gmtoff: 0, zone: std::ptr::null() };
    // SAFETY: both point to valid values; on failure (a year that does not
    // fit) `tm` is left as it is.
    unsafe { localtime_r(&time, &mut tm) };
    let [second, minute, hour, day, month, year, ..] = tm.numbers.map(i64::from);
    DateTime { year: year + 1900, month: month + 1, day, hour, minute, second }
}

/// Microseconds of the monotonic clock, which other processes of this host see, too.
pub(super) fn monotonic_time() -> u64 {
    let mut time = TimeSpec::default();
    // SAFETY: a place for the time.
    unsafe { clock_gettime(CLOCK_MONOTONIC, &mut time) };
    #[allow(clippy::unnecessary_cast)] // narrower on 32 bits
    let [sec, part] = [time.sec.unsigned_abs() as u64, time.nsec.unsigned_abs() as u64];
    sec.saturating_mul(1_000_000).saturating_add(part / 1000)
}

/// Connects to the system log under this name, with the facility daemon. The log's
/// socket may be out of sight after chroot.
pub(crate) fn open_syslog(name: &'static CStr) {
    // SAFETY: the name is static, as openlog keeps the pointer.
    unsafe { openlog(name.as_ptr(), LOG_PID | LOG_NDELAY, LOG_DAEMON) }
}

/// Writes one line to the system log at a level from 0 (emergency) to 7
/// (debug). Waits as long as the log's socket is full; connects again to a log
/// that was restarted.
pub(crate) fn write_syslog(level: u8, text: &str) {
    let format: &CStr = c"%s";
    let text = CString::new(text.replace('\0', ".")).unwrap_or_default();
    // SAFETY: the format takes exactly the one string that is given.
    unsafe { syslog(level.into(), format.as_ptr(), text.as_ptr()) }
}

// --- sockets ---------------------------------------------------------------

/// A new socket that suits `address`. Programs that are started do not have it.
pub fn socket_for(address: &Address, kind: Kind) -> io::Result<OwnedFd> {
    let fd = check(socket(address.family(), kind as c_int | SOCK_CLOEXEC, 0))?;
    // SAFETY: a descriptor just made, that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Binds `socket` to an address of this host or to a path. On Linux the system
/// chooses a name for a Unix socket that is bound to an empty path.
pub fn bind_to(socket: impl AsFd, address: &Address) -> io::Result<()> {
    let raw = address.raw()?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `raw` holds at least `len` bytes of a valid address.
    check(unsafe { bind(fd, raw.bytes.as_ptr().cast(), raw.len) }).map(drop)
}

/// Connects `socket`. `Ok(false)`: the connect is not done yet, as the socket
/// is non-blocking, its time limit has passed, or the wait was cut short (see
/// [`again`]). That of TCP goes on by itself, see [`wait_writable`]; that of a
/// Unix socket does not.
pub fn connect_to(socket: impl AsFd, address: &Address) -> io::Result<bool> {
    let raw = address.raw()?;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `raw` holds at least `len` bytes of a valid address.
    let done = unsafe { connect(fd, raw.bytes.as_ptr().cast(), raw.len) };
    match check(done) {
        Ok(_) => Ok(true),
        Err(e) if e.raw_os_error() == Some(EINPROGRESS) => Ok(false),
        Err(e) if e.kind() == io::ErrorKind::Interrupted => Ok(false),
        Err(e) => Err(e),
    }
}

pub(super) fn set_number(
    socket: impl AsFd,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    set_numbers(socket, level, name, [value])
}

/// Sets an option whose value is one number or a structure of several.
pub(super) fn set_numbers<const N: usize>(
    socket: impl AsFd,
    level: c_int,
    name: c_int,
    value: [c_int; N],
) -> io::Result<()> {
    let fd = socket.as_fd().as_raw_fd();
    let len = size_of_val(&value) as c_uint;
    // SAFETY: pointer and length describe `value`.
    let done = unsafe { setsockopt(fd, level, name, (&raw const value).cast(), len) };
    check(done).map(drop)
}

pub(super) fn get_number(socket: impl AsFd, level: c_int, name: c_int) -> io::Result<c_int> {
    let fd = socket.as_fd().as_raw_fd();
    let (mut value, mut len): (c_int, c_uint) = (0, 4);
    // SAFETY: pointer and length describe `value`.
    let done = unsafe { getsockopt(fd, level, name, (&raw mut value).cast(), &mut len) };
    check(done).map(|_| value)
}

/// The address that `socket` is connected to. A TCP connection that was reset, or that
/// has ended both ways, has none, which is an error. One whose peer only sends no more
/// still has one.
pub(crate) fn peer(socket: impl AsFd) -> io::Result<Address> {
    let mut name = RawAddr::unnamed();
    name.len = name.bytes.len() as c_uint;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the buffer lives through the call, with its length.
    check(unsafe { getpeername(fd, name.bytes.as_mut_ptr().cast(), &mut name.len) })?;
    name.read()
}

/// The address that `socket` is bound to.
pub(crate) fn local_address(socket: impl AsFd) -> io::Result<Address> {
    let mut name = RawAddr::unnamed();
    name.len = name.bytes.len() as c_uint;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: the buffer lives through the call, with its length.
    check(unsafe { getsockname(fd, name.bytes.as_mut_ptr().cast(), &mut name.len) })?;
    name.read()
}

/// Takes a message. Returns its length, its sender and what came with it.
pub(super) fn receive_message(
    socket: impl AsFd,
    buffer: &mut [u8],
    flags: c_int,
) -> io::Result<(usize, RawAddr, Control)> {
    let mut name = RawAddr::unnamed();
    let mut control = Control::default();
    let mut part = IoVec { base: buffer.as_mut_ptr().cast(), len: buffer.len() };
    let mut header = MsgHdr::new(&mut part);
    header.name = name.bytes.as_mut_ptr().cast();
    header.namelen = name.bytes.len() as c_uint;
    header.control = control.bytes.as_mut_ptr().cast();
    header.controllen = control.bytes.len() as ControlLen;
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `header` points to buffers that live through the call, with
    // their lengths.
    let len = again(|| check_size(unsafe { recvmsg(fd, &mut header, flags) }))?;
    name.len = header.namelen;
    #[allow(clippy::unnecessary_cast)] // 32 bits on the BSDs
    let told = header.controllen as usize;
    control.len = told;
    Ok((len, name, control))
}

pub(super) fn send_message(
    socket: impl AsFd,
    data: &[u8],
    to: Option<&RawAddr>,
    control: Option<Control>,
    flags: c_int,
) -> io::Result<usize> {
    // What these point to is only read by sendmsg.
    let mut part = IoVec { base: data.as_ptr().cast_mut().cast(), len: data.len() };
    let mut header = MsgHdr::new(&mut part);
    if let Some(to) = to {
        header.name = to.bytes.as_ptr().cast_mut().cast();
        header.namelen = to.len;
    }
    if let Some(control) = &control {
        header.control = control.bytes.as_ptr().cast_mut().cast();
        header.controllen = control.len as ControlLen;
    }
    let fd = socket.as_fd().as_raw_fd();
    // SAFETY: `header` points to buffers that live through the call, with
    // their lengths; sendmsg only reads them.
    again(|| check_size(unsafe { sendmsg(fd, &header, flags) }))
}

/// Calls poll(2) once: whether one of the sockets is ready within this number of
/// milliseconds; -1 waits for ever.
pub(super) fn poll_once(entries: &mut [PollFd], timeout_ms: c_int) -> io::Result<bool> {
    // SAFETY: pointer and count describe `entries`.
    check(unsafe { poll(entries.as_mut_ptr(), entries.len() as NfdsT, timeout_ms) })
        .map(|ready| ready > 0)
}
