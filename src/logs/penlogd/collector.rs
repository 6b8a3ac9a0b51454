//! The collector is the thread that does penlogd's work: it takes the datagrams
//! in the order in which they arrived, remembers pens' requests and writes web
//! servers' lines to the log.
//!
//! No other thread uses the requests or the log, so neither needs a lock.

use super::matcher::Matcher;
use crate::logs::output::LogFile;
use crate::sys;
use crate::sys::message;
use std::io::ErrorKind;
use std::iter;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

/// While more datagrams are waiting, lines are gathered for one write until
/// they have this many bytes.
const BATCH: usize = 64 * 1024;

/// An order for the collector.
pub(super) enum Event {
    /// Handle a datagram that this address sent.
    Datagram(IpAddr, Vec<u8>),
    /// Open the log again, because it was rotated.
    Reopen,
    /// Report the counts to the operator.
    Report,
    /// Write all lines that arrived before, then answer whether the output still
    /// has a reader.
    Stop(SyncSender<bool>),
}

/// The collector's state.
pub(super) struct Collector {
    matcher: Matcher,
    /// The log or standard output.
    file: LogFile,
    /// The log's path; standard output has none.
    path: Option<PathBuf>,
    /// The reader of standard output has gone.
    reader_has_gone: bool,
}

impl Collector {
    /// Opens the log, or duplicates standard output if there is no path.
    /// `requests` is how many requests of pens to remember. The error names the
    /// file and the OS error.
    pub(super) fn open(requests: usize, path: Option<&Path>) -> Result<Collector, String> {
        let file = match path {
            Some(path) => LogFile::append(path, true).map_err(|why| format!("-l {why}"))?,
            None => LogFile::stdout()?,
        };
        let (matcher, path) = (Matcher::new(requests), path.map(Path::to_owned));
        Ok(Collector { matcher, file, path, reader_has_gone: false })
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
                        let _ = done.try_send(!self.reader_has_gone);
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
        let Some(path) = &self.path else { return };
        message::say("opening the log again on HUP");
        match LogFile::append(path, false) {
            Ok(file) => self.file = file,
            Err(why) => message::error(why),
        }
    }

    /// Writes the gathered lines; they are lost if that fails. When the reader of
    /// standard output has gone, penlogd ends, and its exit status tells the
    /// process that started it.
    fn write(&mut self) {
        let lines = self.matcher.lines();
        if lines.is_empty() {
            return;
        }
        let result = self.file.write(lines);
        self.matcher.clear();
        if result == Err(ErrorKind::BrokenPipe) && self.path.is_none() && !self.reader_has_gone {
            self.reader_has_gone = true;
            sys::ask_to_stop();
        }
    }
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
