//! A pen that runs.

use super::process::{Status, signal};
use super::{
    Answer, Asker, At, Caller, Client, Host, PATIENCE, Server, Starter, get, is_c_pen, wait_until,
};
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

/// A running pen. When it goes, pen is told to end, and the test fails if it
/// does not end well or has said anything that was not expected.
pub(crate) struct Pen {
    pub(crate) at: At,
    /// The servers that it was started with as its own.
    pub(crate) servers: Vec<Server>,
    /// Those for emergencies and abuse.
    pub(crate) beside: Vec<Server>,
    /// Behind the servers, whose sockets may be in its directory.
    pub(crate) host: Host,
    pub(crate) is_udp: bool,
    control: Option<At>,
    web: Option<At>,
    child: Child,
    /// The process that has taken over from it.
    successor: Option<u32>,
    messages: Arc<Mutex<Vec<String>>>,
    unread: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
    expected: Vec<&'static str>,
    /// Not ours: it may say what it wants.
    is_strange: bool,
}

impl Pen {
    /// Waits until it listens; its messages are gathered from now on.
    pub(super) fn wait_for(mut child: Child, starter: Starter, is_strange: bool) -> Pen {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let kept = Arc::clone(&messages);
        let unread = Arc::new(AtomicBool::new(false));
        let is_unread = Arc::clone(&unread);
        let reader = thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                kept.lock().unwrap().push(line);
                while is_unread.load(SeqCst) {
                    thread::sleep(Duration::from_millis(5));
                }
            }
        });
        let reader = Some(reader);
        let Starter { at, host, servers, beside, is_udp, control, web, expected, .. } = starter;
        let mut pen = Pen {
            at,
            host,
            servers,
            beside,
            is_udp,
            control,
            web,
            child,
            successor: None,
            messages,
            unread,
            reader,
            expected,
            is_strange,
        };
        wait_until("pen starts", || {
            if let Some(status) = pen.child.try_wait().unwrap() {
                panic!("pen ended at its start, {status}");
            }
            match is_strange {
                true => {
                    let pid = pen.pid().to_string();
                    pen.at.is_listening_for(&pid) && pen.catches_term()
                }
                false => pen.has_started(),
            }
        });
        pen
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(&self.at)
    }

    /// The letter of the server that a new connection or flow gets.
    pub(crate) fn letter(&self) -> String {
        match self.is_udp {
            true => self.asker().letter(),
            false => self.connect().letter(),
        }
    }

    /// The letter that the client 127.0.0.N gets.
    pub(crate) fn letter_of(&self, number: u8) -> String {
        match self.is_udp {
            true => Asker::number(number, &self.at).letter(),
            false => Caller::new(number, self).letter(),
        }
    }

    /// The same for several, one after the other.
    pub(crate) fn letters_of<const N: usize>(&self, numbers: [u8; N]) -> String {
        numbers.map(|number| self.letter_of(number)).concat()
    }

    /// A connection or a flow that stays, and its server.
    pub(crate) fn hold(&self) -> (Held, String) {
        let held = match self.is_udp {
            true => Held::Flow(self.asker()),
            false => Held::Connection(self.connect()),
        };
        let letter = held.letter();
        (held, letter)
    }

    /// So many of them, and their servers in turn.
    pub(crate) fn hold_all(&self, count: usize) -> (Vec<Held>, String) {
        (0..count).map(|_| self.hold()).unzip()
    }

    /// A new client, who must get this server.
    pub(crate) fn connect_to(&self, letter: &str) -> Client {
        let client = self.connect();
        assert_eq!(client.letter(), letter);
        client
    }

    /// The letters of so many new connections or flows, one after the other.
    pub(crate) fn letters(&self, count: usize) -> String {
        (0..count).map(|_| self.letter()).collect()
    }

    /// Where its control port is.
    pub(crate) fn control(&self) -> &At {
        self.control.as_ref().expect("a control port")
    }

    /// Where its web interface is.
    pub(crate) fn web(&self) -> &At {
        self.web.as_ref().expect("a web interface")
    }

    /// What that answers to a plain GET.
    pub(crate) fn get(&self, path: &str) -> Answer {
        get(self.web(), path)
    }

    /// What the control port replies to a line.
    pub(crate) fn ask(&self, line: &str) -> String {
        let client = Client::new(self.control());
        client.send(format!("{line}\n"));
        String::from_utf8(client.rest()).unwrap()
    }

    /// What it writes as its configuration.
    pub(crate) fn written(&self) -> String {
        let file = self.host.file("written.cfg");
        assert_eq!(self.ask(&format!("write {}", file.display())), "");
        fs::read_to_string(file).unwrap()
    }

    /// The path of a file in its host's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.host.file(name)
    }

    /// What is in such a file; nothing if it is not there.
    pub(crate) fn text(&self, name: &str) -> String {
        fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// The servers as the C program shows them, without what ours says at the end.
    pub(crate) fn server_list(&self) -> String {
        let list = self.ask("servers");
        let bare = list.lines().map(|line| line.split(" connects ").next().unwrap_or_default());
        bare.map(|line| format!("{line}\n")).collect()
    }

    /// How many connections a server has.
    pub(crate) fn load(&self, server: usize) -> u32 {
        let list = self.ask("servers");
        let line = list.lines().nth(server).expect("such a server");
        let mut words = line.split(' ').skip_while(|word| *word != "conn");
        words.nth(1).unwrap().parse().unwrap()
    }

    /// Ends one of its servers: where that was.
    pub(crate) fn end_server(&mut self, index: usize) -> At {
        self.servers.remove(index).at().clone()
    }

    /// Starts a server there that is its own from now on, the last one.
    pub(crate) fn start_server(&mut self, at: At, letter: char) {
        self.servers.push(Server::letter(self.is_udp, at, letter));
    }

    /// Of the process that has taken over, if one has.
    pub(crate) fn pid(&self) -> u32 {
        self.successor.unwrap_or(self.child.id())
    }

    /// Restarts it by command. From now on it is the process that has taken over, whose
    /// number this is.
    pub(crate) fn restart(&mut self) -> u32 {
        let reply = self.ask("restart");
        self.follow(&reply)
    }

    /// The same, for a reply to that command.
    pub(crate) fn follow(&mut self, reply: &str) -> u32 {
        let words = reply.strip_suffix(" has taken over\n");
        let pid = words.and_then(|words| words.strip_prefix("process "));
        let pid = pid.unwrap_or_else(|| panic!("no restart: {reply}")).parse().unwrap();
        self.expected.push("has taken over");
        self.successor = Some(pid);
        pid
    }

    /// Whether the process that it was at first has ended; well, then.
    pub(crate) fn first_has_ended(&mut self) -> bool {
        let status = self.child.try_wait().unwrap();
        status.inspect(|status| assert!(status.success(), "{status}")).is_some()
    }

    /// The messages so far.
    pub(crate) fn messages(&self) -> Vec<String> {
        self.messages.lock().unwrap().clone()
    }

    /// From now on nobody reads what pen says, so that the pipe fills up; or
    /// somebody does again.
    pub(crate) fn leave_unread(&self, unread: bool) {
        self.unread.store(unread, SeqCst);
    }

    /// How many messages so far have this in them.
    pub(crate) fn times_said(&self, text: &str) -> usize {
        let messages = self.messages.lock().unwrap();
        messages.iter().filter(|line| line.contains(text)).count()
    }

    pub(crate) fn has_said(&self, text: &str) -> bool {
        self.times_said(text) > 0
    }

    /// Messages about the command line may have that word in them, too.
    fn has_started(&self) -> bool {
        self.messages().iter().any(|line| line.ends_with(" starting"))
    }

    /// Waits for a message with this in it. The C program has words of its own
    /// for what it says, if it does.
    pub(crate) fn says(&self, text: &str) {
        wait_until("a message comes", || self.is_strange || self.has_said(text));
    }

    pub(crate) fn status(&self) -> Status {
        Status::of(self.pid()).expect("pen runs")
    }

    /// Whether it has a way of its own to end.
    fn catches_term(&self) -> bool {
        let status = self.status();
        let mask = status.words("SigCgt")[0];
        u64::from_str_radix(mask, 16).unwrap() & 1 << 14 != 0
    }

    pub(crate) fn signal(&self, name: &str) {
        signal(self.pid(), name);
    }

    /// Waits for it to end.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        let mut status = None;
        wait_until("pen ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap()
    }

    fn complaint(&mut self) -> Option<String> {
        let end = Instant::now() + PATIENCE;
        let is_left = |pid| Status::of(pid).is_some_and(|status| status.words("State")[0] != "Z");
        if let Some(pid) = self.successor.take().filter(|pid| is_left(*pid)) {
            signal(pid, "TERM");
            while is_left(pid) {
                if Instant::now() > end {
                    return Some("the pen that took over does not end on TERM".to_owned());
                }
                thread::sleep(Duration::from_millis(2));
            }
        }
        if self.child.try_wait().unwrap().is_none() {
            self.signal("TERM");
        }
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            if Instant::now() > end {
                let _ = self.child.kill();
                let _ = self.child.wait();
                return Some("pen does not end on TERM".to_owned());
            }
            thread::sleep(Duration::from_millis(2));
        };
        self.leave_unread(false);
        let _ = self.reader.take().map(JoinHandle::join);
        let usual = [" starting", "pen is stopping", ": no servers: ", "reloading on HUP"];
        let expected = || usual.iter().chain(&self.expected);
        let end = status.to_string();
        if !status.success() && !expected().any(|text| end.contains(text)) {
            return Some(format!("pen ended with {status}"));
        }
        let strange =
            self.messages().into_iter().find(|line| !expected().any(|text| line.contains(text)));
        match strange {
            Some(line) if !self.is_strange => Some(format!("pen said: {line}")),
            _ => None,
        }
    }
}

impl Drop for Pen {
    fn drop(&mut self) {
        let complaint = self.complaint();
        if thread::panicking() {
            eprintln!("pen at {}: {complaint:?}, {:?}", self.at, self.messages());
        } else if let Some(complaint) = complaint {
            panic!("{complaint}; {:?}", self.messages());
        }
    }
}

/// A client that stays.
pub(crate) enum Held {
    Connection(Client),
    Flow(Asker),
}

impl Held {
    fn letter(&self) -> String {
        match self {
            Held::Connection(client) => client.letter(),
            Held::Flow(asker) => asker.letter(),
        }
    }

    /// The letter of the server that it has now.
    pub(crate) fn again(&self) -> String {
        if let Held::Connection(client) = self {
            client.send("\n");
        }
        self.letter()
    }

    /// The port that it has at its end.
    pub(crate) fn port(&self) -> u16 {
        match self {
            Held::Connection(client) => client.0.local_addr().unwrap().port(),
            Held::Flow(asker) => asker.addr().port(),
        }
    }
}

/// A pen in the background, ended when this goes.
pub(crate) struct Background {
    pub(crate) at: At,
    /// What its command line says of that.
    word: String,
    pub(crate) pid: u32,
    /// The servers that it was started with as its own.
    pub(crate) servers: Vec<Server>,
    pub(super) host: Option<Host>,
}

impl Background {
    /// One that has been started with this word for its address, and that
    /// writes this file.
    pub(crate) fn known(at: At, word: &str, pid_file: &Path) -> Background {
        let mut pid = String::new();
        wait_until("the pid file is written", || {
            pid = fs::read_to_string(pid_file).unwrap_or_default();
            !pid.is_empty()
        });
        let pid = pid.parse().expect("digits and nothing else");
        Background { word: word.to_owned(), at, pid, host: None, servers: Vec::new() }
    }

    pub(crate) fn connect(&self) -> Client {
        Client::new(&self.at)
    }

    pub(crate) fn is_running(&self) -> bool {
        // The word makes sure that it is the process of this test; a zombie,
        // which has no command line, has ended.
        let words = fs::read(format!("/proc/{}/cmdline", self.pid)).unwrap_or_default();
        String::from_utf8_lossy(&words).contains(&self.word)
    }

    pub(crate) fn signal(&self, name: &str) {
        assert!(self.is_running());
        signal(self.pid, name);
    }

    /// Waits until the last line of this log ends like that.
    pub(crate) fn has_logged(&self, log: &Path, end: &str) {
        if is_c_pen() {
            // It keeps lines to itself until it opens the log again.
            self.signal("HUP");
        }
        wait_until("the request is logged", || {
            let text = fs::read_to_string(log).unwrap_or_default();
            text.ends_with(&format!("{end}\n"))
        });
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        if self.is_running() {
            self.signal("TERM");
            if !thread::panicking() {
                wait_until("pen in the background ends", || !self.is_running());
            }
        }
    }
}
