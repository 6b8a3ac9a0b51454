//! Files of /etc that only the processes of a test have.

use super::{Dir, is_root, skipped};
use std::path::Path;
use std::process::Command;

/// A command in whose /etc the files of this directory are.
pub(crate) fn with_etc(dir: &Path, program: &Path) -> Command {
    let script = "for file in \"$1\"/*; do \
         mount --bind \"$file\" \"/etc/${file##*/}\" || exit 1; \
         done; shift; exec \"$@\"";
    let mut command = Command::new("unshare");
    // They become the program, so that the process is the same.
    command.args(["--mount", "sh", "-c", script, "sh"]);
    command.arg(dir).arg(program);
    command
}

/// A directory of such files; `None`, said aloud, where they are not allowed.
pub(crate) fn own_etc(files: &[(&str, &str)]) -> Option<Dir> {
    if !is_root() {
        skipped("only root can have an /etc of its own");
        return None;
    }
    let dir = Dir::new();
    for (name, text) in files {
        std::fs::write(dir.file(name), text).unwrap();
    }
    let mut command = with_etc(dir.path(), Path::new("true"));
    let output = command.output();
    if !output.is_ok_and(|output| output.status.success()) {
        skipped("mount namespaces are not allowed");
        return None;
    }
    Some(dir)
}
