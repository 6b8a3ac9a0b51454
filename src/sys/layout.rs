//! The C library's types that system calls take, and the enums that stand for its
//! numbers outside of `sys`.

use super::number::{RLIMIT_CORE, RLIMIT_NOFILE, SOCK_DGRAM, SOCK_STREAM};
#[cfg(any(target_os = "linux", all(target_env = "gnu", target_pointer_width = "32")))]
use std::ffi::c_ulong;
use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

// The 32-bit C libraries differ in the width of two types.
#[cfg(all(target_env = "gnu", target_pointer_width = "32"))]
pub(super) type TimeT = c_long;
#[cfg(not(all(target_env = "gnu", target_pointer_width = "32")))]
pub(super) type TimeT = i64;
#[cfg(all(target_env = "gnu", target_pointer_width = "32"))]
pub(super) type RlimT = c_ulong;
#[cfg(not(all(target_env = "gnu", target_pointer_width = "32")))]
pub(super) type RlimT = u64;

#[cfg(target_os = "linux")]
pub(super) type NfdsT = c_ulong;
#[cfg(not(target_os = "linux"))]
pub(super) type NfdsT = c_uint;
#[cfg(target_os = "freebsd")]
pub(super) type ModeT = u16;
#[cfg(not(target_os = "freebsd"))]
pub(super) type ModeT = u32;
#[cfg(target_os = "linux")]
pub(super) type GroupCount = usize;
#[cfg(not(target_os = "linux"))]
pub(super) type GroupCount = c_int;

#[cfg(target_os = "linux")]
pub(super) type ControlLen = usize;
#[cfg(not(target_os = "linux"))]
pub(super) type ControlLen = c_uint;
#[cfg(target_os = "linux")]
pub(super) type PartCount = usize;
#[cfg(not(target_os = "linux"))]
pub(super) type PartCount = c_int;

#[repr(C)]
pub(super) struct IoVec {
    pub(super) base: *mut c_void,
    pub(super) len: usize,
}

#[repr(C)]
pub(super) struct MsgHdr {
    pub(super) name: *mut c_void,
    pub(super) namelen: c_uint,
    pub(super) iov: *mut IoVec,
    pub(super) iovlen: PartCount,
    pub(super) control: *mut c_void,
    pub(super) controllen: ControlLen,
    pub(super) flags: c_int,
}

/// Large enough for every system's `sigset_t` (Linux has the largest, 128).
#[repr(C, align(8))]
pub(super) struct SigSet(pub(super) [u8; 128]);

/// Large enough for every system's `posix_spawnattr_t` (Linux has the largest, 336).
#[repr(C, align(8))]
pub(super) struct SpawnAttr(pub(super) [u8; 512]);

/// Large enough for every system's `posix_spawn_file_actions_t` (Linux has the
/// largest, 80).
#[repr(C, align(8))]
pub(super) struct SpawnFiles(pub(super) [u8; 128]);

#[repr(C)]
pub(super) struct PollFd {
    pub(super) fd: c_int,
    pub(super) events: i16,
    pub(super) revents: i16,
}

#[repr(C)]
pub(super) struct Rlimit {
    pub(super) cur: RlimT,
    pub(super) max: RlimT,
}

/// How a socket carries bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Kind {
    /// As a stream: TCP, or a Unix stream socket.
    Stream = SOCK_STREAM,
    /// In datagrams: UDP, or a Unix datagram socket.
    Datagram = SOCK_DGRAM,
}

/// Which of the two processes this is after [`super::fork_process`].
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// The process that called.
    Parent,
    /// The new one.
    Child,
}

/// A resource whose limit [`super::raise_limit`] lifts.
#[derive(Clone, Copy, Debug)]
#[repr(i32)]
pub enum Resource {
    /// Size of a core file.
    Core = RLIMIT_CORE,
    /// Number of open descriptors.
    Files = RLIMIT_NOFILE,
}

/// What a signal asks of the daemon.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    /// HUP: reopen the log, read the configuration again.
    Reload,
    /// USR1: report.
    Report,
    /// USR2: start the program again, without losing a connection.
    Restart,
    /// TERM or INT: end.
    Stop,
}

#[repr(C)]
pub(super) struct Tm {
    /// Second, minute, hour, day, month from 0, years since 1900, and three more.
    pub(super) numbers: [c_int; 9],
    pub(super) gmtoff: c_long,
    pub(super) zone: *const c_char,
}

// musl has room for 64 bits behind a 32-bit number, which comes first or last.
#[derive(Default)]
#[repr(C)]
pub(super) struct TimeSpec {
    pub(super) sec: TimeT,
    #[cfg(all(target_env = "musl", target_pointer_width = "32", target_endian = "big"))]
    pub(super) before: c_long,
    pub(super) nsec: c_long,
    #[cfg(all(target_env = "musl", target_pointer_width = "32", target_endian = "little"))]
    pub(super) behind: c_long,
}

/// Large enough for every system's `pthread_attr_t` (Linux has the largest,
/// 56 bytes; the BSDs keep a pointer).
#[repr(C, align(8))]
pub(super) struct ThreadAttr(pub(super) [u8; 128]);

#[cfg(target_os = "linux")]
#[repr(C)]
pub(super) struct SchedParam(pub(super) [c_int; 12]); // musl's is 48 bytes on 64-bit, glibc's 4
