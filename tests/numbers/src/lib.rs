//! What `src/sys` says of the system, compared with what the libc crate says:
//! numbers one by one, structures by size and place. It need not run, only
//! compile, so it does so for systems that are not here.

#![no_std]

// The files of `src/sys` know it by this name.
extern crate core as std;

use core::mem::{offset_of, size_of};

#[allow(dead_code, unused_imports)]
#[path = "../../../src/sys/layout.rs"]
mod layout;
/// A number that is not compared below is an error.
#[deny(dead_code)]
#[path = "../../../src/sys/number.rs"]
mod number;

use layout::*;
use number::*;

/// Both have this number by this name.
macro_rules! same {
    ($($name:ident)*) => { $(
        const _: () = assert!(number::$name as i64 == libc::$name as i64, stringify!($name));
    )* };
}

/// Both sides are the same.
macro_rules! equal {
    ($($ours:expr => $theirs:expr;)*) => { $(
        #[allow(deprecated)] // time_t, of musl
        const _: () = assert!($ours as i64 == $theirs as i64, stringify!($theirs));
    )* };
}

/// The three of keep-alive.
#[cfg(not(target_os = "openbsd"))]
const _: () = assert!(matches!(
    KEEP_ALIVE,
    Some([libc::TCP_KEEPIDLE, libc::TCP_KEEPINTVL, libc::TCP_KEEPCNT])
));
#[cfg(target_os = "openbsd")]
const _: () = assert!(KEEP_ALIVE.is_none());

/// Of an option, level and name; of two options, one for each family.
#[allow(unused_macros)] // NetBSD has none of these options
macro_rules! option {
    ($ours:expr => $level:ident $name:ident) => {
        equal! {
            $ours.0 => libc::$level;
            $ours.1 => libc::$name;
        }
    };
}

same! {
    AF_UNIX AF_INET AF_INET6
    SHUT_RD SHUT_WR SHUT_RDWR
    POLLIN POLLOUT POLLERR POLLHUP
    RLIMIT_CORE RLIMIT_NOFILE
    SIGHUP SIGINT SIGKILL SIGPIPE SIGTERM SIGUSR1 SIGUSR2 SIG_BLOCK WNOHANG
    POSIX_SPAWN_SETPGROUP POSIX_SPAWN_SETSIGDEF POSIX_SPAWN_SETSIGMASK
    LOG_DAEMON LOG_PID LOG_NDELAY
    PTHREAD_CREATE_DETACHED
    IPPROTO_IP IPPROTO_IPV6 IPPROTO_TCP IPV6_RECVPKTINFO IPV6_PKTINFO
    EMFILE ENFILE ENXIO EINPROGRESS ENOBUFS
    SOCK_STREAM SOCK_DGRAM
    SOL_SOCKET SO_RCVBUF SO_REUSEADDR SO_KEEPALIVE SO_REUSEPORT SO_ERROR SO_LINGER SO_TYPE
    MSG_DONTWAIT MSG_CMSG_CLOEXEC SCM_RIGHTS CLOCK_MONOTONIC
    O_NONBLOCK O_NOFOLLOW O_CLOEXEC SOCK_CLOEXEC
}

equal! {
    SC_THREAD_STACK_MIN => libc::_SC_THREAD_STACK_MIN;
    size_of::<PollFd>() => size_of::<libc::pollfd>();
    offset_of!(PollFd, events) => offset_of!(libc::pollfd, events);
    offset_of!(PollFd, revents) => offset_of!(libc::pollfd, revents);
    size_of::<Rlimit>() => size_of::<libc::rlimit>();
    offset_of!(Rlimit, max) => offset_of!(libc::rlimit, rlim_max);
    size_of::<IoVec>() => size_of::<libc::iovec>();
    offset_of!(IoVec, len) => offset_of!(libc::iovec, iov_len);
    size_of::<MsgHdr>() => size_of::<libc::msghdr>();
    offset_of!(MsgHdr, iov) => offset_of!(libc::msghdr, msg_iov);
    offset_of!(MsgHdr, iovlen) => offset_of!(libc::msghdr, msg_iovlen);
    offset_of!(MsgHdr, control) => offset_of!(libc::msghdr, msg_control);
    offset_of!(MsgHdr, controllen) => offset_of!(libc::msghdr, msg_controllen);
    offset_of!(MsgHdr, flags) => offset_of!(libc::msghdr, msg_flags);
    size_of::<Tm>() => size_of::<libc::tm>();
    offset_of!(Tm, numbers) => offset_of!(libc::tm, tm_sec);
    offset_of!(Tm, numbers) + 5 * size_of::<i32>() => offset_of!(libc::tm, tm_year);
    offset_of!(Tm, gmtoff) => offset_of!(libc::tm, tm_gmtoff);
    size_of::<NfdsT>() => size_of::<libc::nfds_t>();
    size_of::<ModeT>() => size_of::<libc::mode_t>();
    8 => size_of::<libc::linger>();
    // What `sockaddr` and `datagram` build byte by byte.
    2 => offset_of!(libc::sockaddr_in, sin_port);
    4 => offset_of!(libc::sockaddr_in, sin_addr);
    16 => size_of::<libc::sockaddr_in>();
    2 => offset_of!(libc::sockaddr_in6, sin6_port);
    4 => offset_of!(libc::sockaddr_in6, sin6_flowinfo);
    8 => offset_of!(libc::sockaddr_in6, sin6_addr);
    24 => offset_of!(libc::sockaddr_in6, sin6_scope_id);
    28 => size_of::<libc::sockaddr_in6>();
    2 => offset_of!(libc::sockaddr_un, sun_path);
    size_of::<ControlLen>() => offset_of!(libc::cmsghdr, cmsg_level);
    size_of::<ControlLen>() + 4 => offset_of!(libc::cmsghdr, cmsg_type);
}

// For musl with 32 bits the libc crate has the types of before version 1.2.
#[cfg(not(all(target_env = "musl", target_pointer_width = "32")))]
equal! {
    size_of::<TimeT>() => size_of::<libc::time_t>();
    size_of::<TimeSpec>() => size_of::<libc::timespec>();
    offset_of!(TimeSpec, nsec) => offset_of!(libc::timespec, tv_nsec);
}

// What is only passed on must have room.
const _: () = assert!(size_of::<SigSet>() >= size_of::<libc::sigset_t>());
const _: () = assert!(size_of::<ThreadAttr>() >= size_of::<libc::pthread_attr_t>());
const _: () = assert!(size_of::<SpawnAttr>() >= size_of::<libc::posix_spawnattr_t>());
const _: () = assert!(size_of::<SpawnFiles>() >= size_of::<libc::posix_spawn_file_actions_t>());
const _: () = assert!(size_of::<libc::sockaddr_un>() <= 112);

#[cfg(not(target_os = "openbsd"))]
equal! {
    KEEP_ALIVE.unwrap()[0] => libc::TCP_KEEPIDLE;
    KEEP_ALIVE.unwrap()[1] => libc::TCP_KEEPINTVL;
    KEEP_ALIVE.unwrap()[2] => libc::TCP_KEEPCNT;
}

#[cfg(target_os = "linux")]
mod linux {
    use super::*;

    same! { SCHED_BATCH PR_SET_NO_NEW_PRIVS AT_SECURE }
    equal! {
        IP_DESTINATION => libc::IP_PKTINFO;
        4 => offset_of!(libc::in_pktinfo, ipi_spec_dst);
        12 => size_of::<libc::in_pktinfo>();
    }
    option!(ANY_SOURCE.unwrap().0 => IPPROTO_IP IP_TRANSPARENT);
    option!(ANY_SOURCE.unwrap().1 => IPPROTO_IPV6 IPV6_TRANSPARENT);
    option!(LINGER2.unwrap() => IPPROTO_TCP TCP_LINGER2);
    option!(BIND_WITHOUT_PORT.unwrap() => IPPROTO_IP IP_BIND_ADDRESS_NO_PORT);
    const _: () = assert!(size_of::<SchedParam>() >= size_of::<libc::sched_param>());
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
same! { M_MMAP_THRESHOLD M_ARENA_MAX }

#[cfg(not(target_os = "linux"))]
mod bsd {
    use super::*;

    equal! { IP_DESTINATION => libc::IP_RECVDSTADDR; }
    equal! { IP_DESTINATION => libc::IP_SENDSRCADDR; }
    const _: () = assert!(LINGER2.is_none() && BIND_WITHOUT_PORT.is_none());
}

#[cfg(target_os = "freebsd")]
mod freebsd {
    use super::*;

    same! { P_PID PROC_NO_NEW_PRIVS_CTL PROC_NO_NEW_PRIVS_ENABLE }
    equal! { 8 => size_of::<libc::id_t>(); }
    option!(ANY_SOURCE.unwrap().0 => IPPROTO_IP IP_BINDANY);
    option!(ANY_SOURCE.unwrap().1 => IPPROTO_IPV6 IPV6_BINDANY);
}

#[cfg(target_os = "openbsd")]
mod openbsd {
    use super::*;

    const _: () = assert!(KEEP_ALIVE.is_none());
    option!(ANY_SOURCE.unwrap().0 => SOL_SOCKET SO_BINDANY);
    option!(ANY_SOURCE.unwrap().1 => SOL_SOCKET SO_BINDANY);
}

#[cfg(target_os = "netbsd")]
mod netbsd {
    use super::*;

    const _: () = assert!(ANY_SOURCE.is_none());
}
