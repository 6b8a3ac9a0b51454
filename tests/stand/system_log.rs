//! A system log of the test's own.

use super::{Background, Dir, PATIENCE, Starter, is_root, skipped};
use std::fs::{self, Permissions};
use std::io::ErrorKind;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

/// A root directory for pen with a `/dev/log` in it, from which only the test
/// reads, when it does.
pub(crate) struct SystemLog {
    jail: Dir,
    socket: UnixDatagram,
}

fn bind(path: PathBuf) -> UnixDatagram {
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o666)).unwrap();
    socket
}

impl SystemLog {
    /// `None` where that cannot be had.
    pub(crate) fn new() -> Option<SystemLog> {
        if !is_root() {
            skipped("only root can have a /dev/log of its own");
            return None;
        }
        let jail = Dir::new();
        fs::create_dir(jail.file("dev")).unwrap();
        let socket = bind(jail.file("dev/log"));
        Some(SystemLog { jail, socket })
    }

    /// Starts a pen in the background that has this log.
    pub(crate) fn start(&self, starter: Starter) -> Background {
        let words = ["-j", self.jail.path().to_str().unwrap(), "-p", "/pid"];
        let mut starter = starter.args(words);
        // pen connects to that one before it changes the root.
        let real = Path::new("/dev/log");
        if real.exists() {
            starter = starter.mounted(&self.jail.file("dev/log"), real);
        }
        starter.start_in_background(&self.jail.file("pid"))
    }

    /// The next message, as it was sent.
    pub(crate) fn next(&self) -> String {
        let mut buffer = vec![0; 65_536];
        let count = loop {
            match self.socket.recv(&mut buffer) {
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                result => break result.expect("a message"),
            }
        };
        String::from_utf8_lossy(&buffer[..count]).into_owned()
    }

    /// Takes messages until one has this in it, and returns that.
    pub(crate) fn find(&self, text: &str) -> String {
        loop {
            let message = self.next();
            if message.contains(text) {
                return message;
            }
        }
    }

    /// Ends, with all that was not taken, and comes again.
    pub(crate) fn restart(&mut self) {
        let path = self.jail.file("dev/log");
        fs::remove_file(&path).unwrap();
        self.socket = bind(path);
    }
}
