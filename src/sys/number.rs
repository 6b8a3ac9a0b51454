//! Numbers that differ between systems, from their C headers. No code. `make
//! check-numbers` compares them with the libc crate's.

use std::ffi::c_int;

/// Defines numbers that are the same everywhere.
macro_rules! everywhere {
    ($($name:ident $value:expr;)*) => {
        $(pub(crate) const $name: c_int = $value;)*
    };
}

/// Defines numbers of Linux, of Linux on mips, and of FreeBSD, OpenBSD and
/// NetBSD, which agree.
macro_rules! by_family {
    ($($name:ident $linux:expr, $mips:expr, $bsd:expr;)*) => { $(
        pub(crate) const $name: c_int = match cfg!(target_os = "linux") {
            true if cfg!(any(target_arch = "mips", target_arch = "mips64")) => $mips,
            true => $linux,
            false => $bsd,
        };
    )* };
}

/// Defines what differs between the BSDs as well.
macro_rules! by_system {
    ($($(#[$doc:meta])* $name:ident: $type:ty = $linux:expr, $freebsd:expr, $openbsd:expr, $netbsd:expr;)*) => { $(
        $(#[$doc])*
        pub(crate) const $name: $type = if cfg!(target_os = "linux") {
            $linux
        } else if cfg!(target_os = "freebsd") {
            $freebsd
        } else if cfg!(target_os = "openbsd") {
            $openbsd
        } else {
            $netbsd
        };
    )* };
}

#[cfg(all(target_os = "linux", any(target_arch = "sparc", target_arch = "sparc64")))]
compile_error!("Linux has numbers of its own for sparc, which nobody has put here yet");

pub(crate) const POLLIN: i16 = 1;
pub(crate) const POLLOUT: i16 = 4;
pub(crate) const POLLERR: i16 = 8;
pub(crate) const POLLHUP: i16 = 16;
pub(crate) const POSIX_SPAWN_SETPGROUP: i16 = 2;

everywhere! {
    AF_UNIX 1;
    AF_INET 2;
    SHUT_RD 0;
    SHUT_WR 1;
    SHUT_RDWR 2;
    RLIMIT_CORE 4;
    SIGHUP 1;
    SIGINT 2;
    SIGKILL 9;
    SIGPIPE 13;
    SIGTERM 15;
    WNOHANG 1;
    LOG_DAEMON 3 << 3;
    LOG_PID 1;
    LOG_NDELAY 8;
    SCM_RIGHTS 1;
    PTHREAD_CREATE_DETACHED 1;
    IPPROTO_IP 0;
    IPPROTO_IPV6 41;
    IPPROTO_TCP 6;
    ENXIO 6; // nobody reads the pipe
    EMFILE 24; // too many open files, in this process
    ENFILE 23; // and in the system
}

#[rustfmt::skip]
by_family! {
    SOCK_STREAM      1,      2,      1;
    SOCK_DGRAM       2,      1,      2;
    SOL_SOCKET       1,      0xffff, 0xffff;
    SO_RCVBUF        8,      0x1002, 0x1002;
    SO_REUSEADDR     2,      4,      4;
    SO_KEEPALIVE     9,      8,      8;
    SO_ERROR         4,      0x1007, 0x1007;
    SO_LINGER        13,     0x80,   0x80;
    SO_TYPE          3,      0x1008, 0x1008;
    SO_REUSEPORT     15,     0x200,  0x200;
    RLIMIT_NOFILE    7,      5,      8;
    SIG_BLOCK        0,      1,      1;
    SIGUSR1          10,     16,     30;
    SIGUSR2          12,     17,     31;
    EINPROGRESS      115,    150,    36;
    ENOBUFS          105,    132,    55;
    O_NONBLOCK       0o4000, 0x80,   4;
    MSG_DONTWAIT     0x40,   0x40,   0x80;
    IPV6_RECVPKTINFO 49,     49,     36;
    IPV6_PKTINFO     50,     50,     46;
    // Linux: IP_PKTINFO, a structure with interface, address and header address.
    // BSD: IP_RECVDSTADDR, which is IP_SENDSRCADDR as well, the address alone.
    IP_DESTINATION   8,      8,      7;
}

/// An option's level and name.
type Name = (c_int, c_int);

by_system! {
    /// The program that a process becomes does not have the descriptor.
    O_CLOEXEC: c_int = 0o2000000, 0x100000, 0x10000, 0x400000;
    SOCK_CLOEXEC: c_int = 0o2000000, 0x10000000, 0x8000, 0x10000000;
    /// Descriptors that come with a message are closed when a program is started.
    MSG_CMSG_CLOEXEC: c_int = 0x40000000, 0x40000, 0x800, 0x800;
    CLOCK_MONOTONIC: c_int = 1, 4, 3, 3;
    POSIX_SPAWN_SETSIGDEF: i16 = 4, 0x10, 0x10, 0x10;
    POSIX_SPAWN_SETSIGMASK: i16 = 8, 0x20, 0x20, 0x20;
    AF_INET6: c_int = 10, 28, 24, 24;
    /// What `sysconf` calls the smallest stack of a thread.
    SC_THREAD_STACK_MIN: c_int = 75, 93, 89, 59;
    /// TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT.
    KEEP_ALIVE: Option<[c_int; 3]> =
        Some([4, 5, 6]), Some([256, 512, 1024]), None, Some([3, 5, 6]);
    /// For IPv4 and IPv6: IP_TRANSPARENT and IPV6_TRANSPARENT (Linux), IP_BINDANY
    /// and IPV6_BINDANY (FreeBSD), SO_BINDANY for both (OpenBSD).
    ANY_SOURCE: Option<(Name, Name)> =
        Some(((IPPROTO_IP, 19), (IPPROTO_IPV6, 75))),
        Some(((IPPROTO_IP, 24), (IPPROTO_IPV6, 64))),
        Some(((SOL_SOCKET, 0x1000), (SOL_SOCKET, 0x1000))),
        None;
    /// TCP_LINGER2.
    LINGER2: Option<Name> = Some((IPPROTO_TCP, 8)), None, None, None;
    /// IP_BIND_ADDRESS_NO_PORT, for IPv6 sockets, too.
    BIND_WITHOUT_PORT: Option<Name> = Some((IPPROTO_IP, 24)), None, None, None;
    /// The last name of a path must be no link (`open`). Linux has another number
    /// for some processors.
    O_NOFOLLOW: c_int = LINUX_NOFOLLOW, 0x100, 0x100, 0x100;
}

const LINUX_NOFOLLOW: c_int = if cfg!(any(
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "m68k",
    target_arch = "powerpc",
    target_arch = "powerpc64"
)) {
    0o100000
} else {
    0o400000
};

#[cfg(target_os = "linux")]
pub(crate) const PR_SET_NO_NEW_PRIVS: c_int = 38;
#[cfg(target_os = "linux")]
pub(crate) const AT_SECURE: std::ffi::c_ulong = 23;
#[cfg(target_os = "freebsd")]
pub(crate) const P_PID: c_int = 0;
#[cfg(target_os = "freebsd")]
pub(crate) const PROC_NO_NEW_PRIVS_CTL: c_int = 19;
#[cfg(target_os = "freebsd")]
pub(crate) const PROC_NO_NEW_PRIVS_ENABLE: c_int = 1;
#[cfg(target_os = "linux")]
pub(crate) const SCHED_BATCH: c_int = 3;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) const M_MMAP_THRESHOLD: c_int = -3;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(crate) const M_ARENA_MAX: c_int = -8;
