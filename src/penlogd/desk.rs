//! The thread that does the work: it takes the datagrams in the order in which
//! they came, keeps what pens say and writes what web servers say.
//!
//! It alone has the entries and the log, so nothing here is locked.

use super::matcher::Matcher;
use crate::files;
use crate::message;
use crate::sys;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender};

/// As long as more datagrams wait, lines are gathered up to so many bytes for
/// one write.
const BATCH: usize = 64 * 1024;

/// What the thread is told.
pub enum Note {
    /// This came from there.
    Datagram(IpAddr, Vec<u8>),
    /// Open the log again.
    Reopen,
    /// Say how it goes.
    Report,
    /// Answer when all before this is done: whether it went well to the end.
    Stop(SyncSender<bool>),
}

/// Where the lines go.
pub struct Output {
    file: File,
    /// Nothing for standard output.
    path: Option<PathBuf>,
    well: bool,
}

impl Output {
    /// Opens the log, or takes standard output as it is now.
    pub fn open(path: Option<&Path>) -> Result<Output, String> {
        let file = match path {
            Some(path) => append(path, true).map_err(|why| format!("-l {why}"))?,
            None => {
                let fd = io::stdout().as_fd().try_clone_to_owned();
                File::from(fd.map_err(|e| format!("standard output: {e}"))?)
            }
        };
        let (path, well) = (path.map(Path::to_owned), true);
        Ok(Output { file, path, well })
    }

    /// After rotation. If that fails, what was open stays.
    fn reopen(&mut self) {
        let Some(path) = &self.path else {
            return;
        };
        message::say("opening the log again on HUP");
        match append(path, false) {
            Ok(file) => (self.file, self.well) = (file, true),
            Err(why) => message::say(why),
        }
    }

    /// Writes whole lines. The first failure after a success is told; one that
    /// stays for good is returned.
    fn write(&mut self, lines: &[u8]) -> Result<(), String> {
        if lines.is_empty() {
            return Ok(());
        }
        let Err(e) = self.file.write_all(lines) else {
            self.well = true;
            return Ok(());
        };
        let name = match &self.path {
            Some(path) => path.display().to_string(),
            None => "standard output".to_owned(),
        };
        let why = format!("{name}: cannot write: {e}");
        if self.path.is_none() && e.kind() == ErrorKind::BrokenPipe {
            return Err(why);
        }
        if std::mem::take(&mut self.well) {
            message::say(why);
        }
        Ok(())
    }
}

fn append(path: &Path, may_wait: bool) -> Result<File, String> {
    let file = files::append(path, may_wait);
    file.map_err(|e| format!("{}: cannot open the log: {e}", path.display()))
}

/// The thread's own.
pub struct Desk {
    matcher: Matcher,
    output: Output,
    failed: bool,
}

impl Desk {
    /// With room for so many requests of pens.
    pub fn new(entries: usize, output: Output) -> Desk {
        Desk { matcher: Matcher::new(entries), output, failed: false }
    }

    /// The thread's life.
    pub fn work(&mut self, queue: &Receiver<Note>) {
        while let Ok(mut note) = queue.recv() {
            loop {
                match note {
                    Note::Datagram(from, data) => self.matcher.datagram(from, &data),
                    other => {
                        self.write();
                        match other {
                            Note::Reopen => self.output.reopen(),
                            Note::Report => message::say(self.matcher.report()),
                            Note::Stop(done) => drop(done.try_send(!self.failed)),
                            Note::Datagram(..) => {}
                        }
                    }
                }
                if self.matcher.lines().len() >= BATCH {
                    self.write();
                }
                match queue.try_recv() {
                    Ok(next) => note = next,
                    Err(_) => break,
                }
            }
            self.write();
        }
    }

    /// Writes what was gathered. When the reader of standard output has gone,
    /// there is nothing left to do here, and whoever started penlogd sees it by
    /// the status.
    fn write(&mut self) {
        if !self.failed {
            if let Err(why) = self.output.write(self.matcher.lines()) {
                message::say(why);
                self.failed = true;
                sys::ask_to_stop();
            }
        }
        self.matcher.clear();
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

    fn desk(path: &Path) -> Desk {
        Desk::new(10, Output::open(Some(path)).unwrap())
    }

    #[test]
    fn the_log_is_opened_again() {
        let (path, old) = (path("log"), path("log.1"));
        let mut desk = desk(&path);
        let (queue, notes) = mpsc::sync_channel(10);
        let worker = std::thread::spawn(move || desk.work(&notes));
        queue.send(Note::Datagram(WEB, b"one".to_vec())).unwrap();
        let wait = || {
            let (done, answer) = mpsc::sync_channel(1);
            queue.send(Note::Stop(done)).unwrap();
            answer.recv().unwrap()
        };
        assert!(wait());
        std::fs::rename(&path, &old).unwrap();
        queue.send(Note::Reopen).unwrap();
        queue.send(Note::Datagram(WEB, b"two".to_vec())).unwrap();
        queue.send(Note::Report).unwrap();
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
        let why = Output::open(Some(Path::new("/nonexistent/log"))).err();
        assert!(why.unwrap().starts_with("-l /nonexistent/log: "));
    }
}
