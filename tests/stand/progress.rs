//! How far a long program is.

use std::io::IsTerminal;
use std::time::Instant;

/// Says after how many seconds how much is done, and what follows. On a terminal the next
/// line takes the place of this one.
pub(crate) fn show(begin: Instant, done: u64, of: u64, what: &str) {
    let seconds = begin.elapsed().as_secs();
    let line = format!("{seconds:4} s: {done} of {of} done: {what}");
    match std::io::stderr().is_terminal() {
        true => eprint!("{line}\x1b[K\r"),
        false => eprintln!("{line}"),
    }
}
