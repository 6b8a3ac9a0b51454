//! The collector is the thread that does penlogd's work: it takes the datagrams
//! in the order in which they arrived, remembers pens' requests and writes web
//! servers' lines to the log.
//!
//! No other thread uses the requests or the log, so neither needs a lock.

use super::matcher::Matcher;
use crate::sys;
use crate::sys::files;
use crate::sys::message;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::iter;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

/// While more datagrams are waiting, lines are gathered for one write until
/// they have this many bytes.
const BATCH: usize = 64 * 1024;

/// What the collector is to do next.
pub(super) enum Event {
    /// Handle a datagram that this address sent.
    Datagram(IpAddr, Vec<u8>),
    /// Open the log again, because it was rotated.
    Reopen,
    /// Report the counts to the operator.
    Report,
    /// Write all lines that arrived before, then answer whether the reader of
    /// the output is still there.
    Stop(SyncSender<bool>),
}

/// The collector's state.
pub(super) struct Collector {
    matcher: Matcher,
    /// The log or standard output.
    file: File,
    /// The log's path; standard output has none.
    path: Option<PathBuf>,
    /// Why the last write failed, if it did.
    failure: Option<ErrorKind>,
}

impl Collector {
    /// Opens the log, or duplicates standard output if there is no path.
    /// `requests` is how many requests of pens to remember. The error names the
    /// file and the OS error.
    pub(super) fn open(requests: usize, path: Option<&Path>) -> Result<Collector, String> {
        let file = match path {
            Some(path) => append(path, true).map_err(|why| format!("-l {why}"))?,
            None => {
                let fd = io::stdout().as_fd().try_clone_to_owned();
                File::from(fd.map_err(|e| format!("standard output: {e}"))?)
            }
        };
        let (matcher, path) = (Matcher::new(requests), path.map(Path::to_owned));
        Ok(Collector { matcher, file, path, failure: None })
    }

    /// Handles events until all senders of the queue have gone.
    pub(super) fn work(&mut self, queue: &Receiver<Event>) {
        while let Ok(first) = queue.recv() {
            for event in iter::once(first).chain(queue.try_iter()) {
                match event {
                    Event::Datagram(from, data) => self.matcher.datagram(from, &data),
                    Event::Report => message::say(self.matcher.report()),
                    Event::Reopen => {
                        self.write();
                        self.reopen();
                    }
                    Event::Stop(done) => {
                        self.write();
                        let _ = done.try_send(!self.reader_has_gone());
                    }
                }
                if self.matcher.lines().len() >= BATCH {
                    self.write();
                }
            }
            self.write();
        }
    }

    /// Opens the log again after it was rotated. If that fails, lines still go
    /// to the old file.
    fn reopen(&mut self) {
        let Some(path) = &self.path else {
            return;
        };
        message::say("opening the log again on HUP");
        match append(path, false) {
            Ok(file) => (self.file, self.failure) = (file, None),
            Err(why) => message::error(why),
        }
    }

    /// Writes the gathered lines; they are lost if that fails. A failure is
    /// reported when it is not the same as the last write's. When the reader of
    /// standard output has gone, penlogd ends, and its exit status tells
    /// whoever started it.
    fn write(&mut self) {
        if self.matcher.lines().is_empty() {
            return;
        }
        let result = self.file.write_all(self.matcher.lines());
        self.matcher.clear();
        let Err(e) = result else {
            self.failure = None;
            return;
        };
        if self.failure.replace(e.kind()) != Some(e.kind()) {
            let path = self.path.as_ref().map(|path| path.display().to_string());
            let name = path.unwrap_or_else(|| "standard output".to_owned());
            message::error(format_args!("{name}: cannot write: {e}"));
            if self.reader_has_gone() {
                sys::ask_to_stop();
            }
        }
    }

    fn reader_has_gone(&self) -> bool {
        self.path.is_none() && self.failure == Some(ErrorKind::BrokenPipe)
    }
}

fn append(path: &Path, may_wait: bool) -> Result<File, String> {
    let file = files::append(path, may_wait);
    file.map_err(|e| format!("{}: cannot open the log: {e}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const WEB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    fn path(name: &str) -> PathBuf {
        let name = format!("penlogd-{}-{name}", std::process::id());
        std::env::temp_dir().join(name)
    }

    #[test]
    fn the_log_is_opened_again() {
        let (path, old) = (path("log"), path("log.1"));
        let mut collector = Collector::open(10, Some(&path)).unwrap();
        let (queue, events) = mpsc::sync_channel(10);
        let worker = std::thread::spawn(move || collector.work(&events));
        queue.send(Event::Datagram(WEB, b"one".to_vec())).unwrap();
        let wait = || {
            let (done, answer) = mpsc::sync_channel(1);
            queue.send(Event::Stop(done)).unwrap();
            answer.recv().unwrap()
        };
        assert!(wait());
        std::fs::rename(&path, &old).unwrap();
        queue.send(Event::Reopen).unwrap();
        queue.send(Event::Datagram(WEB, b"two".to_vec())).unwrap();
        queue.send(Event::Report).unwrap();
        assert!(wait());
        drop(queue);
        worker.join().unwrap();
        assert_eq!(std::fs::read(&old).unwrap(), b"one\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"two\n");
        std::fs::remove_file(path).unwrap();
        std::fs::remove_file(old).unwrap();
    }

    #[test]
    fn a_log_that_cannot_be_opened_is_named() {
        let why = Collector::open(10, Some(Path::new("/nonexistent/log"))).err();
        assert!(why.unwrap().starts_with("-l /nonexistent/log: "));
    }
}
