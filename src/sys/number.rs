//! Numbers that differ between systems, from their C headers. mips has its
//! own on Linux. No code. `make check-numbers` compares them with the libc
//! crate's.

use std::ffi::c_int;

pub(super) const AF_UNIX: c_int = 1;
pub(super) const AF_INET: c_int = 2;
pub(super) const SHUT_RD: c_int = 0;
pub(super) const SHUT_WR: c_int = 1;
pub(super) const SHUT_RDWR: c_int = 2;
pub(super) const POLLIN: i16 = 1;
pub(super) const POLLOUT: i16 = 4;
pub(super) const POLLERR: i16 = 8;
pub(super) const POLLHUP: i16 = 16;
pub(super) const RLIMIT_CORE: c_int = 4;
pub(super) const SIGHUP: c_int = 1;
pub(super) const SIGINT: c_int = 2;
pub(super) const SIGTERM: c_int = 15;
pub(super) const LOG_DAEMON: c_int = 3 << 3;
pub(super) const LOG_PID: c_int = 1;
pub(super) const LOG_NDELAY: c_int = 8;
pub(super) const PTHREAD_CREATE_DETACHED: c_int = 1;
pub(super) const IPPROTO_IP: c_int = 0;
pub(super) const IPPROTO_IPV6: c_int = 41;
pub(super) const IPPROTO_TCP: c_int = 6;
/// Too many open files, in this process and in the system; the same everywhere.
pub(super) const EMFILE: i32 = 24;
pub(super) const ENFILE: i32 = 23;
/// There is nobody at the other end of a pipe (`open`); the same everywhere.
pub const ENXIO: i32 = 6;

#[cfg(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64"))))]
mod system {
    use std::ffi::c_int;
    pub(crate) const SOCK_STREAM: c_int = 1;
    pub(crate) const SOCK_DGRAM: c_int = 2;
    pub(crate) const SOL_SOCKET: c_int = 1;
    pub(crate) const SO_RCVBUF: c_int = 8;
    pub(crate) const SO_REUSEADDR: c_int = 2;
    pub(crate) const SO_KEEPALIVE: c_int = 9;
    pub(crate) const SO_ERROR: c_int = 4;
    pub(crate) const SO_LINGER: c_int = 13;
    pub(crate) const SO_REUSEPORT: c_int = 15;
    pub(crate) const RLIMIT_NOFILE: c_int = 7;
    pub(crate) const SIG_BLOCK: c_int = 0;
    pub(crate) const SIGUSR1: c_int = 10;
    pub(crate) const EINPROGRESS: i32 = 115;
    pub(crate) const ENOBUFS: i32 = 105;
}

#[cfg(all(target_os = "linux", any(target_arch = "mips", target_arch = "mips64")))]
mod system {
    use std::ffi::c_int;
    pub(crate) const SOCK_STREAM: c_int = 2;
    pub(crate) const SOCK_DGRAM: c_int = 1;
    pub(crate) const SOL_SOCKET: c_int = 0xffff;
    pub(crate) const SO_RCVBUF: c_int = 0x1002;
    pub(crate) const SO_REUSEADDR: c_int = 4;
    pub(crate) const SO_KEEPALIVE: c_int = 8;
    pub(crate) const SO_ERROR: c_int = 0x1007;
    pub(crate) const SO_LINGER: c_int = 0x80;
    pub(crate) const SO_REUSEPORT: c_int = 0x200;
    pub(crate) const RLIMIT_NOFILE: c_int = 5;
    pub(crate) const SIG_BLOCK: c_int = 1;
    pub(crate) const SIGUSR1: c_int = 16;
    pub(crate) const EINPROGRESS: i32 = 150;
    pub(crate) const ENOBUFS: i32 = 132;
}

#[cfg(all(target_os = "linux", any(target_arch = "sparc", target_arch = "sparc64")))]
compile_error!("Linux has numbers of its own for sparc, which nobody has put here yet");

#[cfg(not(target_os = "linux"))] // FreeBSD, OpenBSD and NetBSD agree
mod system {
    use std::ffi::c_int;
    pub(crate) const SOCK_STREAM: c_int = 1;
    pub(crate) const SOCK_DGRAM: c_int = 2;
    pub(crate) const SOL_SOCKET: c_int = 0xffff;
    pub(crate) const SO_RCVBUF: c_int = 0x1002;
    pub(crate) const SO_REUSEADDR: c_int = 4;
    pub(crate) const SO_KEEPALIVE: c_int = 8;
    pub(crate) const SO_ERROR: c_int = 0x1007;
    pub(crate) const SO_LINGER: c_int = 0x80;
    pub(crate) const SO_REUSEPORT: c_int = 0x200;
    pub(crate) const RLIMIT_NOFILE: c_int = 8;
    pub(crate) const SIG_BLOCK: c_int = 1;
    pub(crate) const SIGUSR1: c_int = 30;
    pub(crate) const EINPROGRESS: i32 = 36;
    pub(crate) const ENOBUFS: i32 = 55;
}
pub(super) use system::*;

#[cfg(target_os = "linux")]
mod inet {
    use std::ffi::c_int;
    pub(crate) const MSG_DONTWAIT: c_int = 0x40;
    pub(crate) const IPV6_RECVPKTINFO: c_int = 49;
    pub(crate) const IPV6_PKTINFO: c_int = 50;
    /// IP_PKTINFO: a structure with interface, address and header address.
    pub(crate) const IP_DESTINATION: c_int = 8;
}

#[cfg(not(target_os = "linux"))]
mod inet {
    use std::ffi::c_int;
    pub(crate) const MSG_DONTWAIT: c_int = 0x80;
    pub(crate) const IPV6_RECVPKTINFO: c_int = 36;
    pub(crate) const IPV6_PKTINFO: c_int = 46;
    /// IP_RECVDSTADDR, which is IP_SENDSRCADDR as well: the address alone.
    pub(crate) const IP_DESTINATION: c_int = 7;
}
pub(super) use inet::*;

/// An option's level and name.
type Name = (c_int, c_int);

/// For IPv4 and IPv6: IP_TRANSPARENT and IPV6_TRANSPARENT.
#[cfg(target_os = "linux")]
pub(super) const ANY_SOURCE: Option<(Name, Name)> = Some(((IPPROTO_IP, 19), (IPPROTO_IPV6, 75)));
/// For IPv4 and IPv6: IP_BINDANY and IPV6_BINDANY.
#[cfg(target_os = "freebsd")]
pub(super) const ANY_SOURCE: Option<(Name, Name)> = Some(((IPPROTO_IP, 24), (IPPROTO_IPV6, 64)));
/// For both: SO_BINDANY.
#[cfg(target_os = "openbsd")]
pub(super) const ANY_SOURCE: Option<(Name, Name)> =
    Some(((SOL_SOCKET, 0x1000), (SOL_SOCKET, 0x1000)));
/// There is no such option.
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "openbsd")))]
pub(super) const ANY_SOURCE: Option<(Name, Name)> = None;

/// TCP_LINGER2.
#[cfg(target_os = "linux")]
pub(super) const LINGER2: Option<Name> = Some((6, 8));
/// There is no such option.
#[cfg(not(target_os = "linux"))]
pub(super) const LINGER2: Option<Name> = None;

/// IP_BIND_ADDRESS_NO_PORT, for IPv6 sockets, too.
#[cfg(target_os = "linux")]
pub(super) const BIND_WITHOUT_PORT: Option<Name> = Some((IPPROTO_IP, 24));
/// There is no such option.
#[cfg(not(target_os = "linux"))]
pub(super) const BIND_WITHOUT_PORT: Option<Name> = None;

/// What `sysconf` calls the smallest stack of a thread.
pub(super) const SC_THREAD_STACK_MIN: c_int = if cfg!(target_os = "linux") {
    75
} else if cfg!(target_os = "freebsd") {
    93
} else if cfg!(target_os = "netbsd") {
    59
} else {
    89 // OpenBSD
};

#[cfg(target_os = "linux")]
pub(super) const SCHED_BATCH: c_int = 3;

#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) const M_MMAP_THRESHOLD: c_int = -3;
#[cfg(all(target_os = "linux", target_env = "gnu"))]
pub(super) const M_ARENA_MAX: c_int = -8;
/// TCP_KEEPIDLE, TCP_KEEPINTVL and TCP_KEEPCNT.
#[cfg(target_os = "linux")]
pub(super) const KEEP_ALIVE: Option<[c_int; 3]> = Some([4, 5, 6]);
#[cfg(target_os = "freebsd")]
pub(super) const KEEP_ALIVE: Option<[c_int; 3]> = Some([256, 512, 1024]);
#[cfg(target_os = "netbsd")]
pub(super) const KEEP_ALIVE: Option<[c_int; 3]> = Some([3, 5, 6]);
/// There are no such options.
#[cfg(not(any(target_os = "linux", target_os = "freebsd", target_os = "netbsd")))]
pub(super) const KEEP_ALIVE: Option<[c_int; 3]> = None;

#[cfg(target_os = "linux")]
pub(super) const AF_INET6: c_int = 10;
#[cfg(target_os = "freebsd")]
pub(super) const AF_INET6: c_int = 28;
#[cfg(not(any(target_os = "linux", target_os = "freebsd")))]
pub(super) const AF_INET6: c_int = 24;

/// For writing alone (`open`); the same everywhere.
pub const O_WRONLY: c_int = 1;

#[cfg(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64"))))]
mod open {
    use std::ffi::c_int;
    /// Write at the end, wherever that is then (`open`).
    pub const O_APPEND: c_int = 0o2000;
    /// Make the file (`open`).
    pub const O_CREAT: c_int = 0o100;
    /// With [`O_CREAT`]: only if the name is free, a link's included (`open`).
    pub const O_EXCL: c_int = 0o200;
    /// Do not wait for anybody at the other end of a pipe (`open`).
    pub const O_NONBLOCK: c_int = 0o4000;
}

#[cfg(not(all(target_os = "linux", not(any(target_arch = "mips", target_arch = "mips64")))))]
mod open {
    use std::ffi::c_int;
    const LINUX: bool = cfg!(target_os = "linux"); // on mips
    /// Write at the end, wherever that is then (`open`).
    pub const O_APPEND: c_int = 8;
    /// Make the file (`open`).
    pub const O_CREAT: c_int = if LINUX { 0x100 } else { 0x200 };
    /// With [`O_CREAT`]: only if the name is free, a link's included (`open`).
    pub const O_EXCL: c_int = if LINUX { 0x400 } else { 0x800 };
    /// Do not wait for anybody at the other end of a pipe (`open`).
    pub const O_NONBLOCK: c_int = if LINUX { 0x80 } else { 4 };
}
pub use open::*;

/// Do not follow a symbolic link in the last part of a path (`open`).
pub const O_NOFOLLOW: c_int = match OPEN {
    System::OtherLinux => 0o100000,
    System::Linux => 0o400000,
    _ => 0x100,
};
const O_DIRECTORY: c_int = match OPEN {
    System::OtherLinux => 0o40000,
    System::Linux => 0o200000,
    System::FreeBsd | System::OpenBsd => 0x20000,
    System::NetBsd => 0x200000,
};
/// A directory, for what is in it: neither its list nor a link to it (`open`).
/// O_PATH and O_SEARCH need no permission to read it; OpenBSD has neither.
pub const O_SEARCH_DIR: c_int = O_DIRECTORY
    | O_NOFOLLOW
    | match OPEN {
        System::OtherLinux | System::Linux => 0o10000000,
        System::FreeBsd => 0x40000,
        System::NetBsd => 0x800000,
        System::OpenBsd => 0,
    };

/// Where these flags differ.
#[allow(dead_code)] // all but one
enum System {
    /// Linux on processors whose flags are older than the others'.
    OtherLinux,
    Linux,
    FreeBsd,
    NetBsd,
    OpenBsd,
}

const OPEN: System = if cfg!(target_os = "freebsd") {
    System::FreeBsd
} else if cfg!(target_os = "netbsd") {
    System::NetBsd
} else if cfg!(not(target_os = "linux")) {
    System::OpenBsd
} else if cfg!(any(
    target_arch = "arm",
    target_arch = "aarch64",
    target_arch = "m68k",
    target_arch = "powerpc",
    target_arch = "powerpc64"
)) {
    System::OtherLinux
} else {
    System::Linux
};
