//! The request log (`-l`): its lines, its rotation, over UDP.

use crate::differences::{CONTROL_CHARACTERS, LOG_BUFFER, UDP_LOG};
use crate::stand::{
    Backend, Client, Dir, Host, PATIENCE, Pen, Responder, Starter, better, is_c_pen, pen_program,
    signal, wait_until, worse,
};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}

/// Waits until the log has so many lines, and returns them.
fn lines(pen: &Pen, log: &Path, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if is_c_pen() {
        // It keeps lines to itself until it opens the log again.
        pen.signal("HUP");
    }
    wait_until("the lines are in the log", || {
        let text = fs::read_to_string(log).unwrap_or_default();
        lines = text.lines().map(str::to_owned).collect();
        lines.len() >= count && (text.ends_with('\n') || count == 0)
    });
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

/// Sends this through pen in one piece and waits for its echo.
fn send(pen: &Pen, data: &[u8]) {
    let client = pen.connect();
    client.send(data);
    assert_eq!(client.receive(data.len()), data);
}

/// A pen in front of a server that sends everything back, and the option for
/// its log, which is in a directory of its own.
fn logging(host: &Host, log: &Path) -> (Backend, Starter) {
    let echo = Backend::echo(host.at());
    let starter = Starter::new(host).args(["-l", log.to_str().unwrap()]).server(&echo.at);
    (echo, starter)
}

/// A pipe in this directory.
fn pipe(dir: &Dir) -> PathBuf {
    let pipe = dir.file("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    pipe
}

/// This line of the log has all that belongs to a request of now.
fn is_logged(line: &str, host: &Host, before: u64, request: &str) {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    assert_eq!([words[0], words[2]], ["127.0.0.1", &host.ip.to_string()], "{line}");
    let time: u64 = words[1].parse().unwrap();
    assert!((before..=now()).contains(&time), "{line}");
    assert_eq!(words[3], request);
}

#[test]
fn a_line_has_client_time_server_and_request() {
    let (host, dir) = (Host::new(), Dir::new());
    let log = dir.file("pen.log");
    let (_echo, starter) = logging(&host, &log);
    let pen = starter.start();
    let before = now();
    let long = "x".repeat(300);
    for (count, (data, logged)) in [
        ("GET /a b?c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a b?c HTTP/1.1"),
        ("one\ntwo\n", "one"),
        ("\r\n", ""),
        ("caf\u{e9}", "caf.."),
        (&long, &long[..100]),
    ]
    .into_iter()
    .enumerate()
    {
        send(&pen, data.as_bytes());
        let all = lines(&pen, &log, count + 1);
        is_logged(&all[count], &host, before, logged);
    }
}

#[test]
fn control_characters_do_not_reach_the_log() {
    let (host, dir) = (Host::new(), Dir::new());
    let log = dir.file("pen.log");
    let (_echo, starter) = logging(&host, &log);
    let pen = starter.start();
    send(&pen, b"a\x1b[31m\x07\0\t\x7f\xffb\n");
    let all = lines(&pen, &log, 1);
    let wanted =
        if worse(&CONTROL_CHARACTERS) { " a\x1b[31m\x07\0\t\x7f.b" } else { " a.[31m.....b" };
    assert!(all[0].ends_with(wanted), "{all:?}");
}

#[test]
fn every_read_of_a_client_is_a_line() {
    let (host, dir) = (Host::new(), Dir::new());
    let log = dir.file("pen.log");
    let (_echo, starter) = logging(&host, &log);
    let pen = starter.start();
    let client = pen.connect();
    for word in ["first\n", "second\n", "third\n"] {
        // The echo makes sure that each is a read of its own.
        client.send(word);
        assert_eq!(client.receive(word.len()), word.as_bytes());
    }
    let all = lines(&pen, &log, 3);
    assert!(all[1].ends_with(" second"), "{all:?}");
}

#[test]
fn a_line_is_there_at_once() {
    let (host, dir) = (Host::new(), Dir::new());
    let log = dir.file("pen.log");
    let (_echo, starter) = logging(&host, &log);
    let pen = starter.start();
    send(&pen, b"hello\n");
    let is_there = || fs::read_to_string(&log).unwrap().ends_with(" hello\n");
    if worse(&LOG_BUFFER) {
        send(&pen, b"again\n");
        assert!(!is_there());
        return;
    }
    wait_until("the line is there", is_there);
}

#[test]
fn hup_opens_the_log_again() {
    let (host, dir) = (Host::new(), Dir::new());
    let (log, old) = (dir.file("pen.log"), dir.file("pen.log.1"));
    fs::write(&log, "what was there stays\n").unwrap();
    let (_echo, starter) = logging(&host, &log);
    let pen = starter.expect("reloading on HUP").start();
    send(&pen, b"before\n");
    assert_eq!(lines(&pen, &log, 2)[0], "what was there stays");
    fs::rename(&log, &old).unwrap();
    // Until it is told, pen writes to the file that it has.
    send(&pen, b"between\n");
    lines(&pen, &old, 3);
    pen.signal("HUP");
    wait_until("the log is there again", || log.exists());
    send(&pen, b"after\n");
    assert!(lines(&pen, &log, 1)[0].ends_with(" after"));
    lines(&pen, &old, 3);
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    better!(LOG_BUFFER);
    // More than a pipe holds, so that most of it is in pen when it has to end.
    const LINES: usize = 1500;
    let (host, dir) = (Host::new(), Dir::new());
    let pipe = pipe(&dir);
    // Open for both, so that neither end waits for the other to come.
    let both = File::options().read(true).write(true).open(&pipe);
    let mut reader = File::open(&pipe).unwrap();
    let (_echo, starter) = logging(&host, &pipe);
    let mut pen = starter.start();
    // From now on the end of pen is the end of the log.
    drop(both);
    let client = pen.connect();
    let request = [b'x'; 100];
    for _ in 0..LINES {
        client.send(request);
        client.receive(request.len());
    }
    pen.signal("TERM");
    pen.says("pen is stopping");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), LINES);
    assert_eq!(pen.wait().code(), Some(0));
}

/// Whoever sends HUP may have put a pipe where the log was.
#[test]
fn a_pipe_that_nobody_reads_holds_up_no_reload() {
    better!(LOG_PIPE);
    let (host, dir) = (Host::new(), Dir::new());
    let log = dir.file("log");
    let (_echo, starter) = logging(&host, &log);
    let starter = starter.control(host.at()).expect("reloading on HUP");
    let pen = starter.expect("cannot open the log").start();
    let client = pen.connect();
    let ask = |text: &str| {
        client.send(text);
        client.receive(text.len());
    };
    fs::rename(&log, dir.file("old")).unwrap();
    fs::rename(pipe(&dir), &log).unwrap();
    pen.signal("HUP");
    pen.says("cannot open the log");
    let reply = pen.ask(&format!("log {}", log.display()));
    assert!(reply.contains("cannot open the log"), "{reply}");
    ask("still in the old one");
    wait_until("the old log has it", || {
        fs::read_to_string(dir.file("old")).unwrap().ends_with(" still in the old one\n")
    });
    // And signals are still answered.
    fs::remove_file(&log).unwrap();
    pen.signal("HUP");
    wait_until("the log is there again", || log.exists());
}

#[test]
fn a_pipe_that_nobody_reads_stops_nobody() {
    better!(UNREAD);
    let (host, dir) = (Host::new(), Dir::new());
    let pipe = pipe(&dir);
    let _both = File::options().read(true).write(true).open(&pipe);
    let (_echo, starter) = logging(&host, &pipe);
    let mut pen = starter.start();
    let client = pen.connect();
    for _ in 0..1500 {
        client.send([b'x'; 100]);
        client.receive(100);
    }
    pen.signal("TERM");
    assert!(pen.wait().success());
}

/// At the start there is nobody to be held up.
#[test]
fn the_start_waits_for_the_reader_of_a_pipe() {
    let (host, dir) = (Host::new(), Dir::new());
    let echo = Backend::echo(host.at());
    let pipe = pipe(&dir);
    let at = host.at();
    let starter = Starter::at(at.clone()).args(["-l", pipe.to_str().unwrap()]).server(&echo.at);
    let start = std::thread::spawn(|| starter.start());
    wait_until("pen listens, which is before it opens the log", || at.is_listening());
    let reader = File::open(&pipe).unwrap();
    let pen = start.join().unwrap();
    let mut reader = BufReader::new(reader);
    send(&pen, b"hello\n");
    drop(pen);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert!(line.ends_with(" hello\n"), "{line}");
}

#[test]
fn over_udp_to_penlogd() {
    let host = Host::new();
    let echo = Backend::echo(host.at());
    let socket = UdpSocket::bind(host.addr()).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let target = socket.local_addr().unwrap().to_string();
    let pen = Starter::new(&host).args(["-l", &target]).server(&echo.at).start();
    let long = "y".repeat(3000);
    for (data, logged) in [("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0"), (&long, &long)] {
        send(&pen, data.as_bytes());
        let mut buffer = [0; 2000];
        let count = socket.recv(&mut buffer).unwrap();
        let mut wanted = format!("+ 127.0.0.1 {} {logged}", host.ip);
        wanted.truncate(1023);
        assert_eq!(buffer[..count], *format!("{wanted}\n").as_bytes());
    }
}

#[test]
fn a_full_disk_stops_nobody() {
    let host = Host::new();
    let echo = Backend::echo(host.at());
    let pen = Starter::new(&host)
        .args(["-l", "/dev/full"])
        .server(&echo.at)
        .expect("cannot write to the log")
        .start();
    for _ in 0..10 {
        send(&pen, b"hello\n");
    }
    pen.says("cannot write to the log");
    let told = pen.messages();
    let told = told.iter().filter(|line| line.contains("cannot write"));
    assert!(told.count() <= 1);
}

#[test]
fn each_datagram_is_a_line() {
    let (host, dir) = (Host::new(), Dir::new());
    let server = Responder::echo(host.at());
    let log = dir.file("pen.log");
    let pen =
        Starter::datagrams(&host).args(["-l", log.to_str().unwrap()]).server(&server.at).start();
    let client = pen.asker();
    let long = "x".repeat(300);
    let before = now();
    for (count, (data, logged)) in
        [("hello", "hello"), ("one\ntwo\n", "one"), (&long, &long[..100])].into_iter().enumerate()
    {
        assert_eq!(client.ask(data), data);
        let missing = usize::from(worse(&UDP_LOG));
        let all = lines(&pen, &log, count + 1 - missing);
        let Some(line) = all.last() else { continue };
        is_logged(line, &host, before, logged);
    }
}

/// Messages and requests in one file that a shell has opened: nothing is
/// written over.
#[test]
fn messages_and_requests_share_standard_error() {
    better!(LOG_BUFFER);
    let (host, dir) = (Host::new(), Dir::new());
    let echo = Backend::echo(host.at());
    let (at, out) = (host.at(), dir.file("out"));
    let mut command = Command::new(pen_program());
    command.args(["-f", "-l", "/dev/stderr", &at.to_string(), &echo.at.to_string()]);
    command.stderr(File::create(&out).unwrap());
    let mut pen = command.spawn().unwrap();
    let text = || fs::read_to_string(&out).unwrap();
    wait_until("it starts", || text().contains(" starting\n"));
    let client = Client::new(&at);
    client.send("hello\n");
    client.receive(6);
    wait_until("the request is logged", || text().contains(" hello\n"));
    signal(pen.id(), "TERM");
    assert!(pen.wait().unwrap().success());
    let text = text();
    for part in [" starting\n", " hello\n", "pen is stopping\n"] {
        assert!(text.contains(part), "{text}");
    }
}
