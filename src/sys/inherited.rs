//! Listening sockets that this process was started with: a pen that it takes over from
//! hands them over, or a service manager does (`LISTEN_FDS`, sd_listen_fds(3)). Where
//! pen listens, it takes the one with this address, if there is one.

use super::message;
use super::number::{SO_TYPE, SOL_SOCKET};
use super::{Address, Kind, adopt, get_number, local_address};
use std::ffi::c_int;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::Mutex;

/// A socket that nobody has taken yet.
struct Inherited {
    address: Address,
    /// The number of its kind.
    kind: c_int,
    socket: OwnedFd,
    /// A service manager has it, too, and listens there when pen has ended.
    is_lent: bool,
}

static LEFT: Mutex<Vec<Inherited>> = Mutex::new(Vec::new());

/// The number of the first descriptor that a service manager hands over.
const FIRST: c_int = 3;

/// The variables of the service manager's. They are about this process alone, so those
/// that it starts must not have them.
pub(super) const VARIABLES: [&str; 4] =
    ["LISTEN_FDS", "LISTEN_PID", "LISTEN_FDNAMES", "LISTEN_PIDFDID"];

/// Keeps a socket, which a service manager may have lent, until it is taken.
pub(crate) fn add(socket: OwnedFd, is_lent: bool) -> io::Result<()> {
    let address = local_address(&socket)?;
    let kind = get_number(&socket, SOL_SOCKET, SO_TYPE)?;
    crate::lock(&LEFT).push(Inherited { address, kind, socket, is_lent });
    Ok(())
}

/// Keeps the sockets of a service manager. To be called once, before the fork: the
/// variables have the number of the process that was started.
pub(crate) fn add_activated() {
    for number in 0..announced(std::process::id(), |name| std::env::var(name).ok()) {
        let number = FIRST.saturating_add(number);
        let socket = adopt(number);
        let is_open = socket.is_ok();
        if let Err(e) = socket.and_then(|socket| add(socket, true)) {
            message::warn(format_args!("LISTEN_FDS: descriptor {number}: no socket: {e}"));
        }
        if !is_open {
            return;
        }
    }
}

/// How many descriptors the variables of the environment announce to this process.
fn announced(pid: u32, variable: impl Fn(&str) -> Option<String>) -> c_int {
    let is_for_this = variable("LISTEN_PID").and_then(|word| word.parse().ok()) == Some(pid);
    let count = variable("LISTEN_FDS").and_then(|word| word.parse().ok());
    count.filter(|_| is_for_this).unwrap_or(0)
}

/// Takes the socket of this kind that is bound to this address, and whether it is lent.
/// Port 0 stands for any.
pub(crate) fn take(wanted: &Address, kind: Kind) -> Option<(OwnedFd, bool)> {
    let mut left = crate::lock(&LEFT);
    let is_it = |one: &Inherited| one.kind == kind as c_int && suits(wanted, &one.address);
    let at = left.iter().position(is_it)?;
    let Inherited { socket, is_lent, .. } = left.swap_remove(at);
    Some((socket, is_lent))
}

fn suits(wanted: &Address, bound: &Address) -> bool {
    match (wanted, bound) {
        (Address::Inet(wanted), Address::Inet(bound)) if wanted.port() == 0 => {
            wanted.ip() == bound.ip()
        }
        _ => wanted == bound,
    }
}

/// Closes those that nobody has taken, and says which they are.
pub(crate) fn close_the_rest() {
    for left in std::mem::take(&mut *crate::lock(&LEFT)) {
        let at = match left.address {
            Address::Inet(at) => at.to_string(),
            Address::Unix(path) => path.display().to_string(),
        };
        message::warn(format_args!("{at}: closed, as pen does not listen there any more"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_process_is_told_of_descriptors() {
        for (pid, fds, count) in [
            (Some("7"), Some("2"), 2),
            (Some("8"), Some("2"), 0),
            (None, Some("2"), 0),
            (Some("7"), None, 0),
            (Some("7"), Some("x"), 0),
            (Some("7"), Some("-1"), -1),
        ] {
            let variable = |name: &str| match name {
                "LISTEN_PID" => pid.map(str::to_owned),
                "LISTEN_FDS" => fds.map(str::to_owned),
                _ => None,
            };
            assert_eq!(announced(7, variable), count, "{pid:?} {fds:?}");
        }
    }

    #[test]
    fn the_address_decides() {
        let inet = |text: &str| Address::Inet(text.parse().unwrap());
        let unix = |path: &str| Address::Unix(path.into());
        for (wanted, bound, want) in [
            (inet("127.0.0.1:80"), inet("127.0.0.1:80"), true),
            (inet("127.0.0.1:81"), inet("127.0.0.1:80"), false),
            (inet("0.0.0.0:80"), inet("127.0.0.1:80"), false),
            (inet("127.0.0.1:0"), inet("127.0.0.1:80"), true),
            (inet("127.0.0.2:0"), inet("127.0.0.1:80"), false),
            (unix("/run/x"), unix("/run/x"), true),
            (unix("/run/x"), unix("/run/y"), false),
            (unix("/run/x"), inet("127.0.0.1:80"), false),
        ] {
            assert_eq!(suits(&wanted, &bound), want, "{wanted:?} {bound:?}");
        }
    }
}
