//! The thread that does the work: it takes the datagrams in the order in which
//! they came, keeps what pens say and writes what web servers say.
//!
//! It alone has the entries and the log, so nothing here is locked.

use super::entries::Entries;
use super::line;
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
            Some(path) => append(path).map_err(|why| format!("-l {why}"))?,
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
        match append(path) {
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

fn append(path: &Path) -> Result<File, String> {
    let file = files::append(path);
    file.map_err(|e| format!("{}: cannot open the log: {e}", path.display()))
}

/// What has happened so far.
#[derive(Default)]
struct Counts {
    requests: u64,
    lines: u64,
    found: u64,
    discarded: u64,
}

/// The thread's own.
pub struct Desk {
    entries: Entries,
    output: Output,
    counts: Counts,
    /// Lines to be written.
    batch: Vec<u8>,
    failed: bool,
}

impl Desk {
    /// With room for so many requests of pens.
    pub fn new(entries: usize, output: Output) -> Desk {
        Desk {
            entries: Entries::new(entries),
            output,
            counts: Counts::default(),
            batch: Vec::new(),
            failed: false,
        }
    }

    /// The thread's life.
    pub fn work(&mut self, queue: &Receiver<Note>) {
        while let Ok(mut note) = queue.recv() {
            loop {
                match note {
                    Note::Datagram(from, data) => self.datagram(from, &data),
                    other => {
                        self.write();
                        match other {
                            Note::Reopen => self.output.reopen(),
                            Note::Report => message::say(self.report()),
                            Note::Stop(done) => drop(done.try_send(!self.failed)),
                            Note::Datagram(..) => {}
                        }
                    }
                }
                if self.batch.len() >= BATCH {
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
            if let Err(why) = self.output.write(&self.batch) {
                message::say(why);
                self.failed = true;
                sys::ask_to_stop();
            }
        }
        self.batch.clear();
    }

    /// Each line of a datagram counts for itself. Empty ones are no lines.
    fn datagram(&mut self, from: IpAddr, data: &[u8]) {
        let lines = data.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            if line::is_pens(line) {
                self.pens_line(from, line);
            } else {
                self.web_servers_line(from, line);
            }
        }
    }

    fn pens_line(&mut self, from: IpAddr, line: &[u8]) {
        match line::request(line) {
            Some(request) => {
                self.counts.requests += 1;
                self.entries.add(&request);
            }
            None => {
                self.counts.discarded += 1;
                message::debug(1, || format!("{from}: discarding {}", shown(line)));
            }
        }
    }

    fn web_servers_line(&mut self, from: IpAddr, line: &[u8]) {
        self.counts.lines += 1;
        match self.entries.find(from, &line::requests(line)) {
            Some(client) => {
                self.counts.found += 1;
                let line = line::with_client(line, client);
                self.batch.extend(&*message::harmless(&line));
            }
            None => {
                message::debug(1, || format!("{from}: no client for {}", shown(line)));
                self.batch.extend(&*message::harmless(line));
            }
        }
        self.batch.push(b'\n');
    }

    fn report(&self) -> String {
        let Counts {
            requests,
            lines,
            found,
            discarded,
        } = self.counts;
        format!(
            "{requests} requests from pens, {} kept, {discarded} lines discarded; \
             {lines} lines from web servers, {found} with their client",
            self.entries.count()
        )
    }
}

fn shown(line: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(line)
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
    fn lines_get_their_client() {
        let path = path("lines");
        let mut desk = desk(&path);
        let pen = IpAddr::V4([192, 0, 2, 99].into());
        let other = IpAddr::V4([192, 0, 2, 2].into());
        desk.datagram(pen, b"+ 198.51.100.7 192.0.2.1 GET /a\n+ bad\n");
        desk.datagram(WEB, b"");
        desk.datagram(WEB, b"\n\n");
        desk.datagram(WEB, b"pen - - \"GET /a\" 200\npen - - \"GET /b\" 404\n");
        desk.datagram(WEB, b"pen - - \"GET /a\" 206\r\0\x07\xff");
        desk.datagram(other, b"pen - - \"GET /a\" 200\n");
        desk.datagram(WEB, b"+no blank");
        let want = b"198.51.100.7 - - \"GET /a\" 200\npen - - \"GET /b\" 404\n\
            198.51.100.7 - - \"GET /a\" 206...\xff\npen - - \"GET /a\" 200\n+no blank\n";
        assert_eq!(desk.batch, want);
        assert_eq!(
            desk.report(),
            "1 requests from pens, 1 kept, 1 lines discarded; \
             5 lines from web servers, 2 with their client"
        );
        std::fs::remove_file(path).unwrap();
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
