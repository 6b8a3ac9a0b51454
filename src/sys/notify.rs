//! Tells a service manager how far pen is (`NOTIFY_SOCKET`, sd_notify(3)). No unsafe
//! code.

use super::{Address, Kind, connect_to, send, socket_for};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::sync::OnceLock;

static SOCKET: OnceLock<OwnedFd> = OnceLock::new();

/// Connects to the service manager, if there is one. Before chroot, which puts its
/// socket out of sight.
pub(crate) fn open() {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let address = address(name);
    let socket = socket_for(&address, Kind::Datagram).and_then(|socket| {
        connect_to(&socket, &address)?;
        Ok(socket)
    });
    match socket {
        Ok(socket) => drop(SOCKET.set(socket)),
        Err(e) => super::message::warn(format_args!("NOTIFY_SOCKET: {e}")),
    }
}

/// A name that begins with `@` is abstract.
fn address(name: OsString) -> Address {
    Address::Unix(match name.as_bytes() {
        [b'@', rest @ ..] => OsString::from_vec([b"\0", rest].concat()).into(),
        _ => name.into(),
    })
}

/// Tells it this. One that does not listen is no fault of pen's.
pub(crate) fn tell(text: &str) {
    if let Some(socket) = SOCKET.get() {
        let _ = send(socket, text.as_bytes());
    }
}

/// Tells it that pen begins to reload. `READY=1` says that this is over.
pub(crate) fn tell_reloading() {
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", super::monotonic_time()));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_be_abstract() {
        assert_eq!(address("/run/x".into()), Address::Unix("/run/x".into()));
        assert_eq!(address("@x/y".into()), Address::Unix("\0x/y".into()));
    }
}
