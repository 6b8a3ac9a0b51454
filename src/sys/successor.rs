//! The process that takes over from this one: the same program as it is installed now,
//! with the same words, started with one end of a [`Line`].

use super::adopt;
use super::inherited;
use super::line::Line;
use super::program::{self, Child};
use std::ffi::{OsStr, c_int};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The variable that tells a pen the number of its end of the line.
const VARIABLE: &str = "PEN_RESTART";

/// That number.
const NUMBER: c_int = 3;

/// Returns where this program is installed, whatever will be there later. To be called
/// before the working directory changes.
pub(crate) fn program() -> Option<PathBuf> {
    let here = std::env::current_dir().unwrap_or_default();
    let is_program = |path: &Path| {
        fs::metadata(path)
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    };
    let path = std::env::var_os("PATH").unwrap_or_default();
    let name = std::env::args_os().next().unwrap_or_default();
    find(&name, &path, &here, is_program).or_else(|| {
        let link = fs::read_link("/proc/self/exe").ok()?;
        Some(without_note(&link))
    })
}

/// Finds a program by the name that it was started by, as a shell does.
fn find(
    name: &OsStr,
    path: &OsStr,
    here: &Path,
    is_program: impl Fn(&Path) -> bool,
) -> Option<PathBuf> {
    if name.as_bytes().contains(&b'/') {
        return Some(here.join(name));
    }
    let mut all = std::env::split_paths(path).map(|dir| here.join(dir).join(name));
    all.find(|path| !name.is_empty() && is_program(path))
}

/// Takes off what Linux puts behind the path of a program that has been replaced.
fn without_note(link: &Path) -> PathBuf {
    let bytes = link.as_os_str().as_bytes();
    OsStr::from_bytes(bytes.strip_suffix(b" (deleted)").unwrap_or(bytes)).into()
}

/// Starts it, with this end of the line.
pub(crate) fn start(program: &Path, mut line: Line) -> io::Result<Child> {
    if line.as_fd().as_raw_fd() == NUMBER {
        // While this one is open, its copy has another number.
        line = Line::from(line.as_fd().try_clone_to_owned()?);
    }
    let ours =
        |name: &OsStr| inherited::VARIABLES.iter().chain([&VARIABLE]).any(|own| name == *own);
    let kept = std::env::vars_os().filter(|(name, _)| !ours(name));
    let kept = kept.map(|(name, value)| [&*name, OsStr::new("="), &*value].join(OsStr::new("")));
    let env = kept.chain([format!("{VARIABLE}={NUMBER}").into()]);
    program::start(program, std::env::args_os(), env, (line.as_fd(), NUMBER))
}

/// Takes this process's end of the line, if it was started to take over. To be called
/// once.
pub(crate) fn line() -> Result<Option<Line>, String> {
    let Some(word) = std::env::var_os(VARIABLE) else {
        return Ok(None);
    };
    let number = word.to_str().and_then(|word| word.parse().ok());
    let end = number.filter(|number| *number > 2).map(adopt).transpose();
    match end {
        Ok(Some(end)) => Ok(Some(Line::from(end))),
        Ok(None) => Err(format!("{VARIABLE}: bad number")),
        Err(e) => Err(format!("{VARIABLE}: {e}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_by_a_shell() {
        for (name, found) in [
            ("/usr/sbin/pen", Some("/usr/sbin/pen")),
            ("./pen", Some("/home/./pen")),
            ("target/pen", Some("/home/target/pen")),
            ("pen", Some("/usr/bin/pen")),
            ("own", Some("/home/bin/own")),
            ("none", None),
            ("", None),
        ] {
            let is_program = |path: &Path| {
                ["/usr/bin/pen", "/home/bin/own"].iter().any(|all| path == Path::new(all))
            };
            let path = OsStr::new("/bin:bin:/usr/bin");
            let place = find(OsStr::new(name), path, Path::new("/home"), is_program);
            assert_eq!(place.as_deref(), found.map(Path::new), "{name}");
        }
    }

    #[test]
    fn a_replaced_program_keeps_its_place() {
        assert_eq!(without_note(Path::new("/bin/pen (deleted)")), Path::new("/bin/pen"));
        assert_eq!(without_note(Path::new("/bin/pen")), Path::new("/bin/pen"));
    }
}
