//! What a test says about itself beside passing: where the C program is worse,
//! what it compares side by side, why it is left out. `make compat` makes its
//! table of this; it names the file of these notes in `PEN_COMPAT_NOTES`.

use super::differences::Difference;
use super::{is_c_pen, is_strange};
use std::cell::Cell;
use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

/// The name of the running test; nothing on a thread that it has started.
fn test() -> Option<String> {
    std::thread::current().name().map(str::to_owned)
}

/// Writes a note: its kind, and the words that belong to it.
fn note(kind: &str, words: &[&str]) {
    let Some(path) = std::env::var_os("PEN_COMPAT_NOTES") else { return };
    let line = format!("{kind}\t{}\n", words.join("\t"));
    // In one piece, as tests run beside each other.
    let file = File::options().append(true).create(true).open(path);
    file.unwrap().write_all(line.as_bytes()).unwrap();
}

/// Says, past the test runner's capturing of output, why the running test or a
/// part of it is left out.
fn say(why: &str) {
    let name = test().unwrap_or_default();
    let _ = writeln!(std::io::stderr(), "skipped: {name} ({why})");
}

/// The running test runs the program under test: it compares.
pub(super) fn runs() {
    thread_local!(static TOLD: Cell<bool> = const { Cell::new(false) });
    if let (Some(name), false) = (test(), TOLD.replace(true)) {
        note("runs", &[&name]);
    }
}

/// Whether to leave out what follows, because the program under test is the C
/// program, and ours does better here.
pub(crate) fn better(difference: &Difference) -> bool {
    let skip = is_c_pen();
    if skip {
        note("better", &[&test().unwrap(), difference.what]);
        say(&format!("{}: {}", difference.what, difference.c_pen));
    }
    skip
}

/// Whether the program under test is the C program, which does worse here:
/// what follows shows it.
pub(crate) fn worse(difference: &Difference) -> bool {
    if is_c_pen() {
        note("shown", &[&test().unwrap(), difference.what]);
    }
    is_c_pen()
}

/// A part of the running test has compared both programs, and they do the
/// same, or ours does better.
pub(crate) fn compared(part: &str, difference: Option<&Difference>) {
    let name = match part {
        "" => test().unwrap(),
        part => format!("{}: {part}", test().unwrap()),
    };
    match difference {
        None => note("same", &[&name]),
        Some(difference) => note("shown", &[&name, difference.what]),
    }
}

/// A part of the running test has to do with what the C program does so badly
/// that it is not to be tried.
pub(crate) fn known(part: &str, difference: &Difference) {
    note("better", &[&format!("{}: {part}", test().unwrap()), difference.what]);
}

/// The running test is no comparison.
pub(crate) fn aside(why: &str) {
    note("aside", &[&test().unwrap(), why]);
}

/// The running test cannot be run here.
pub(crate) fn skipped(why: &str) {
    note("skipped", &[&test().unwrap_or_default(), why]);
    say(why);
}

/// Ends the running test if it does not run as root.
#[allow(unused_macros)] // outside of the suite
macro_rules! root {
    () => {
        if !$crate::stand::is_root() {
            return $crate::stand::skipped("only root may do this");
        }
    };
}
#[allow(unused_imports)]
pub(crate) use root;

/// The C program of this name beside ours, for a test that compares the two
/// itself. There is none where it is not installed, and when it is itself
/// under test: the comparison is made when ours is.
pub(crate) fn c_program(name: &str) -> Option<PathBuf> {
    let dir = PathBuf::from("/usr/bin");
    let pen = dir.join("pen");
    if is_c_pen() {
        aside("compares both when ours is tested");
        None
    } else if pen.exists() && is_strange(&pen) {
        Some(dir.join(name))
    } else {
        skipped("the C program is not installed");
        None
    }
}
