//! Servers that others have written, as the system has them installed.

use super::{At, Dir, Host, skipped, wait_until};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// A program that serves. Killed when this goes.
pub(crate) struct RealServer {
    pub(crate) at: At,
    child: Child,
    _dir: Dir,
}

impl RealServer {
    /// Starts the first of these programs that there is; `None`, said aloud, where
    /// there is none. `prepare` fills a directory for it and gives its arguments.
    pub(crate) fn start(
        host: &Host,
        programs: &[&str],
        prepare: impl FnOnce(&Path, &At) -> Vec<String>,
    ) -> Option<RealServer> {
        let paths = std::env::var("PATH").unwrap_or_default() + ":/usr/sbin";
        let is_there =
            |name: &&&str| std::env::split_paths(&paths).any(|dir| dir.join(name).exists());
        let Some(program) = programs.iter().find(is_there) else {
            skipped(&format!("{} is not installed", programs[0]));
            return None;
        };
        let (dir, at) = (Dir::new().open_to_all(), host.at());
        let mut command = Command::new(program);
        command.args(prepare(dir.path(), &at)).env("PATH", paths);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut server = RealServer { at, child: command.spawn().unwrap(), _dir: dir };
        wait_until(format!("{program} starts"), || {
            assert_eq!(server.child.try_wait().unwrap(), None, "{program} ended");
            server.at.is_listening()
        });
        Some(server)
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
