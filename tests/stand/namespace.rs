//! Networks of a test's own.

use super::{At, Dir, Starter, is_root, skipped};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// `ip` with the words of a line; what it says if it fails.
fn ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip").args(line.split(' ')).output();
    let output = output.map_err(|e| format!("ip: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(format!("ip {line}: {}", error.trim()))
        }
    }
}

/// A network namespace with nothing but loopback, removed when this goes.
pub(crate) struct Namespace {
    pub(crate) name: String,
}

impl Namespace {
    /// `None`, said aloud, where that is not allowed.
    pub(crate) fn new() -> Option<Namespace> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        if !is_root() {
            skipped("only root makes network namespaces");
            return None;
        }
        let count = COUNTER.fetch_add(1, Relaxed);
        let name = format!("pen-suite-{}-{count}", std::process::id());
        let namespace = Namespace { name: name.clone() };
        for line in [
            format!("netns add {name}"),
            format!("-n {name} link set lo up"),
            format!("netns exec {name} true"),
        ] {
            if let Err(e) = ip(&line) {
                skipped(&e);
                return None;
            }
        }
        Some(namespace)
    }

    /// Two network cards that a cable joins, here and in another one. `None`,
    /// said aloud, where the kernel has none.
    pub(crate) fn join(&self, card: &str, other: &Namespace, its_card: &str) -> Option<()> {
        let (here, there) = (&self.name, &other.name);
        let line =
            format!("-n {here} link add {card} type veth peer name {its_card} netns {there}");
        ip(&line).map_err(|e| skipped(&e)).ok()
    }

    /// A card's address; the card is up from now on.
    pub(crate) fn address(&self, card: &str, address: &str) {
        self.ip(&format!("addr add {address} dev {card}"));
        self.ip(&format!("link set {card} up"));
    }

    /// A pen in there. From outside only what has a path is reached, as its
    /// control port does.
    pub(crate) fn pen(&self, dir: &Dir, at: At, to: &At) -> Starter {
        let control = At::Unix(dir.file(&format!("{}.control", self.name)));
        Starter::at(at).inside(&self.name).control_at(control).server(to)
    }

    /// `ip` in there.
    pub(crate) fn ip(&self, line: &str) {
        ip(&format!("-n {} {line}", self.name)).unwrap();
    }

    /// Sets one of its values below `/proc/sys/net/ipv4`.
    pub(crate) fn set(&self, value: &str, to: &str) {
        let write = format!("echo {to} >/proc/sys/net/ipv4/{value}");
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "sh", "-c", &write]);
        assert!(command.status().unwrap().success(), "{write}");
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.name));
    }
}
