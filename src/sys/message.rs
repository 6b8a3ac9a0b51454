//! Messages for the operator: in the foreground on standard error with the
//! local time, in the background to the system log. They wait in a [`queue`]
//! until a thread of their own writes them.
//!
//! `fatal:` lines come from [`crate::sys::process`] alone and only at the start;
//! `drop:` lines say why one connection was lost, some a second at most.

use crate::sys::{self, text};
use std::fmt;
use std::fs::File;
use std::io::{self, Write as _};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering::Relaxed};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

mod queue;
pub(crate) use queue::{flush, start_writer};

static TO_SYSLOG: AtomicBool = AtomicBool::new(false);
static DEBUG: AtomicU32 = AtomicU32::new(0);

/// From now on messages go to the system log.
pub(crate) fn use_syslog() {
    TO_SYSLOG.store(true, Relaxed);
}

/// Sets how much is said: 0 events, 1 decisions, 2 and more details.
pub fn set_debug(level: u32) {
    DEBUG.store(level, Relaxed);
}

/// Whether messages of this level are wanted.
pub(crate) fn debugging(level: u32) -> bool {
    DEBUG.load(Relaxed) >= level
}

/// Seconds since 1970.
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// `2026-11-22 22:02:11`, local time.
pub(crate) fn timestamp(unix: u64) -> String {
    let t = sys::local_time(unix);
    format!(
        "{:04}-{:02}-{:02} {:02}:{:02}:{:02}",
        t.year, t.month, t.day, t.hour, t.minute, t.second
    )
}

/// How much a message matters. The numbers are syslog's (RFC 5424, 6.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Level {
    /// pen itself cannot do something.
    Error = 3,
    /// A server or a connection has failed.
    Warning = 4,
    /// All is well: start, stop, a server that is up again.
    Notice = 5,
    /// One connection, with `-d`.
    Info = 6,
    /// Details, with `-dd` and more.
    Debug = 7,
}

/// One line, or several lines that stay together.
struct Message {
    level: Level,
    /// Seconds since 1970.
    time: u64,
    /// Without control characters, except the ends of lines.
    text: String,
}

impl Message {
    fn new(level: Level, text: String) -> Message {
        Message { level, time: unix_time(), text }
    }

    /// Bytes of memory.
    fn size(&self) -> usize {
        size_of::<Message>().saturating_add(self.text.len())
    }

    /// Writes it, however long its reader lets that take.
    fn write(&self) -> io::Result<()> {
        let to_syslog = TO_SYSLOG.load(Relaxed);
        for text in self.text.lines() {
            if to_syslog {
                sys::write_syslog(self.level as u8, text);
                continue;
            }
            let line = match journal_prefix(self.level) {
                Some(prefix) => format!("{prefix}{text}\n"),
                None => format!("{}: {text}\n", timestamp(self.time)),
            };
            // One write, so that lines of two processes do not mix.
            io::stderr().write_all(line.as_bytes())?;
        }
        Ok(())
    }
}

/// `<3>` and the like, if standard error is the journal's, which has the time
/// itself (systemd.exec(5): `JOURNAL_STREAM`; sd-daemon(3): the prefixes).
pub(crate) fn journal_prefix(level: Level) -> Option<String> {
    static IS_JOURNAL: OnceLock<bool> = OnceLock::new();
    let is_journal = IS_JOURNAL.get_or_init(|| {
        let stream = std::env::var("JOURNAL_STREAM").unwrap_or_default();
        let file = io::stderr().as_fd().try_clone_to_owned().map(File::from);
        let meta = file.and_then(|file| file.metadata());
        meta.is_ok_and(|meta| stream == format!("{}:{}", meta.dev(), meta.ino()))
    });
    is_journal.then(|| format!("<{}>", level as u8))
}

/// Sends one line to the operator, with control characters escaped.
pub(crate) fn at(level: Level, text: impl fmt::Display) {
    queue::put(Message::new(level, text::printable(&text.to_string())));
}

/// Sends one line that says that all is well, or what was asked for.
pub(crate) fn say(text: impl fmt::Display) {
    at(Level::Notice, text);
}

/// Sends several lines to the operator, which stay together.
pub(crate) fn say_lines(text: String) {
    queue::put(Message::new(Level::Notice, text::printable_lines(text)));
}

/// Sends one line about a server or a connection that has failed.
pub(crate) fn warn(text: impl fmt::Display) {
    at(Level::Warning, text);
}

/// Sends one line about what pen itself cannot do.
pub(crate) fn error(text: impl fmt::Display) {
    at(Level::Error, text);
}

/// Sends one line of the detail that `-d` asks for. Its text is made only then.
pub(crate) fn debug(level: u32, text: impl FnOnce() -> String) {
    if debugging(level) {
        at(if level > 1 { Level::Debug } else { Level::Info }, text());
    }
}

/// Most lines in a second of those that strangers can cause.
const SELDOM: u32 = 10;

struct Seldom {
    second: Option<Instant>,
    said: u32,
    unsaid: u64,
}

static SELDOM_SAID: Mutex<Seldom> = Mutex::new(Seldom { second: None, said: 0, unsaid: 0 });

/// Sends a line that a flood of connections could repeat without end: at most
/// [`SELDOM`] a second, and then one that tells how many were left out.
pub(crate) fn say_seldom(text: impl fmt::Display) {
    let mut seldom = crate::lock(&SELDOM_SAID);
    if seldom.second.is_none_or(|start| start.elapsed() >= Duration::from_secs(1)) {
        *seldom = Seldom { second: Some(Instant::now()), said: 0, unsaid: seldom.unsaid };
    }
    if seldom.said >= SELDOM {
        seldom.unsaid += 1;
        return;
    }
    seldom.said += 1;
    let unsaid = std::mem::take(&mut seldom.unsaid);
    drop(seldom);
    if unsaid > 0 {
        warn(format_args!("{unsaid} more messages like these were left out"));
    }
    warn(text);
}

/// How often a problem that lasts is reported.
pub(crate) const MINUTE: Duration = Duration::from_secs(60);

/// A problem that lasts: it is reported when it begins, and then once a minute.
#[derive(Debug, Default)]
pub(crate) struct Trouble(Option<Instant>);

impl Trouble {
    /// Whether a report is due.
    pub(crate) fn is_due(&self) -> bool {
        self.0.is_none_or(|said| said.elapsed() >= MINUTE)
    }

    /// Reports that it is still there, if that is due.
    pub(crate) fn say(&mut self, text: impl fmt::Display) {
        if self.is_due() {
            self.0 = Some(Instant::now());
            warn(text);
        }
    }
}

/// Sends one line that says why a connection was lost, as [`say_seldom`] does.
pub(crate) fn drop_line(text: impl fmt::Display) {
    say_seldom(format_args!("drop: {text}"));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timestamp_has_its_form() {
        let text = timestamp(86_400 * 365);
        assert_eq!(text.len(), 19, "{text}");
        assert!(text.starts_with("197"), "{text}");
    }
}
