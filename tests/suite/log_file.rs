//! The request log (`-l`): its lines, its rotation, over UDP.

use crate::differences::{CONTROL_CHARACTERS, LOG_BUFFER, UDP_LOG};
use crate::stand::{
    Client, Pen, Starter, better, is_c_pen, pen_program, signal, wait_until, worse,
};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

/// A pen in front of a server that sends everything back, with a log.
fn logging() -> Starter {
    Starter::new().file("-l", "log").echo()
}

/// Waits until this log has so many lines, and returns them.
fn lines(pen: &Pen, log: &str, count: usize) -> Vec<String> {
    let mut lines = Vec::new();
    if is_c_pen() {
        // It keeps lines to itself until it opens the log again.
        pen.signal("HUP");
    }
    wait_until("the lines are in the log", || {
        let text = pen.text(log);
        lines = text.lines().map(str::to_owned).collect();
        lines.len() >= count && (text.ends_with('\n') || count == 0)
    });
    assert_eq!(lines.len(), count, "{lines:?}");
    lines
}

/// Sends this through pen in one piece and waits for its echo.
fn send(pen: &Pen, data: impl AsRef<[u8]>) {
    pen.connect().echoes(data);
}

/// This line of the log has all that belongs to a request of now.
fn is_logged(pen: &Pen, line: &str, before: u64, request: &str) {
    let words: Vec<_> = line.splitn(4, ' ').collect();
    assert_eq!([words[0], words[2]], ["127.0.0.1", &pen.host.ip.to_string()], "{line}");
    let time: u64 = words[1].parse().unwrap();
    assert!((before..=now()).contains(&time), "{line}");
    assert_eq!(words[3], request);
}

#[test]
fn a_line_has_client_time_server_and_request() {
    let (pen, before, long) = (logging().start(), now(), "x".repeat(300));
    let requests = [
        ("GET /a b?c HTTP/1.1\r\nHost: h\r\n\r\n", "GET /a b?c HTTP/1.1"),
        ("one\ntwo\n", "one"),
        ("\r\n", ""),
        ("caf\u{e9}", "caf.."),
        (&long, &long[..100]),
    ];
    for (count, (data, logged)) in requests.into_iter().enumerate() {
        send(&pen, data);
        is_logged(&pen, &lines(&pen, "log", count + 1)[count], before, logged);
    }
}

#[test]
fn control_characters_do_not_reach_the_log() {
    let pen = logging().start();
    send(&pen, b"a\x1b[31m\x07\0\t\x7f\xffb\n");
    let all = lines(&pen, "log", 1);
    let wanted =
        if worse(&CONTROL_CHARACTERS) { " a\x1b[31m\x07\0\t\x7f.b" } else { " a.[31m.....b" };
    assert!(all[0].ends_with(wanted), "{all:?}");
}

#[test]
fn every_read_of_a_client_is_a_line() {
    let pen = logging().start();
    let client = pen.connect();
    for word in ["first\n", "second\n", "third\n"] {
        // The echo makes sure that each is a read of its own.
        client.echoes(word);
    }
    let all = lines(&pen, "log", 3);
    assert!(all[1].ends_with(" second"), "{all:?}");
}

#[test]
fn a_line_is_there_at_once() {
    let pen = logging().start();
    send(&pen, "hello\n");
    let is_there = || pen.text("log").ends_with(" hello\n");
    if worse(&LOG_BUFFER) {
        send(&pen, "again\n");
        assert!(!is_there());
        return;
    }
    wait_until("the line is there", is_there);
}

#[test]
fn hup_opens_the_log_again() {
    let starter = logging();
    let log = starter.host.dir.put("log", "what was there stays\n");
    let pen = starter.start();
    send(&pen, "before\n");
    assert_eq!(lines(&pen, "log", 2)[0], "what was there stays");
    fs::rename(&log, pen.file("old")).unwrap();
    // Until it is told, pen writes to the file that it has.
    send(&pen, "between\n");
    lines(&pen, "old", 3);
    pen.signal("HUP");
    wait_until("the log is there again", || log.exists());
    send(&pen, "after\n");
    assert!(lines(&pen, "log", 1)[0].ends_with(" after"));
    lines(&pen, "old", 3);
}

/// Sends more lines than a pipe holds, so that most of it is in pen then.
fn send_much(pen: &Pen, lines: usize) {
    let client = pen.connect();
    for _ in 0..lines {
        client.echoes([b'x'; 100]);
    }
}

#[test]
fn the_last_lines_are_written_before_the_end() {
    better!(LOG_BUFFER);
    let starter = logging();
    let pipe = starter.host.dir.pipe("log");
    // Open for both, so that neither end waits for the other to come.
    let both = File::options().read(true).write(true).open(&pipe);
    let mut reader = File::open(&pipe).unwrap();
    let mut pen = starter.start();
    // From now on the end of pen is the end of the log.
    drop(both);
    send_much(&pen, 1500);
    pen.signal("TERM");
    pen.says("pen is stopping");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    assert_eq!(text.lines().count(), 1500);
    assert_eq!(pen.wait().code(), Some(0));
}

/// Whoever sends HUP may have put a pipe where the log was.
#[test]
fn a_pipe_that_nobody_reads_holds_up_no_reload() {
    better!(LOG_PIPE);
    let pen = logging().control().expect("cannot open the log").start();
    let client = pen.connect();
    fs::rename(pen.file("log"), pen.file("old")).unwrap();
    let pipe = pen.host.dir.pipe("log");
    pen.signal("HUP");
    pen.says("cannot open the log");
    let reply = pen.ask(&format!("log {}", pipe.display()));
    assert!(reply.contains("cannot open the log"), "{reply}");
    client.echoes("still in the old one");
    wait_until("the old log has it", || pen.text("old").ends_with(" still in the old one\n"));
    // And signals are still answered.
    fs::remove_file(&pipe).unwrap();
    pen.signal("HUP");
    wait_until("the log is there again", || pipe.exists());
}

#[test]
fn a_pipe_that_nobody_reads_stops_nobody() {
    better!(UNREAD);
    let starter = logging();
    let pipe = starter.host.dir.pipe("log");
    let _both = File::options().read(true).write(true).open(&pipe);
    let mut pen = starter.start();
    send_much(&pen, 1500);
    pen.signal("TERM");
    assert!(pen.wait().success());
}

/// At the start there is nobody to be held up.
#[test]
fn the_start_waits_for_the_reader_of_a_pipe() {
    let starter = logging();
    let (at, pipe) = (starter.at.clone(), starter.host.dir.pipe("log"));
    let start = std::thread::spawn(|| starter.start());
    wait_until("pen listens, which is before it opens the log", || at.is_listening());
    let reader = File::open(&pipe).unwrap();
    let pen = start.join().unwrap();
    send(&pen, "hello\n");
    drop(pen);
    let mut line = String::new();
    BufReader::new(reader).read_line(&mut line).unwrap();
    assert!(line.ends_with(" hello\n"), "{line}");
}

#[test]
fn over_udp_to_penlogd() {
    let starter = Starter::new().echo();
    let socket = starter.host.socket();
    let pen = starter.args(["-l", &socket.local_addr().unwrap().to_string()]).start();
    let long = "y".repeat(3000);
    for (data, logged) in [("GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0"), (&long, &long)] {
        send(&pen, data);
        let mut buffer = [0; 2000];
        let count = socket.recv(&mut buffer).unwrap();
        let mut wanted = format!("+ 127.0.0.1 {} {logged}", pen.host.ip);
        wanted.truncate(1023);
        assert_eq!(buffer[..count], *format!("{wanted}\n").as_bytes());
    }
}

#[test]
fn a_full_disk_stops_nobody() {
    let starter = Starter::new().args(["-l", "/dev/full"]).echo();
    let pen = starter.expect("cannot write to the log").start();
    for _ in 0..10 {
        send(&pen, "hello\n");
    }
    pen.says("cannot write to the log");
    assert!(pen.times_said("cannot write") <= 1);
}

#[test]
fn each_datagram_is_a_line() {
    let pen = Starter::new().udp().file("-l", "log").echo().start();
    let (client, before, long) = (pen.asker(), now(), "x".repeat(300));
    let requests = [("hello", "hello"), ("one\ntwo\n", "one"), (&long, &long[..100])];
    for (count, (data, logged)) in requests.into_iter().enumerate() {
        assert_eq!(client.ask(data), data);
        let missing = usize::from(worse(&UDP_LOG));
        if let Some(line) = lines(&pen, "log", count + 1 - missing).last() {
            is_logged(&pen, line, before, logged);
        }
    }
}

/// Messages and requests in one file that a shell has opened: nothing is
/// written over.
#[test]
fn messages_and_requests_share_standard_error() {
    better!(LOG_BUFFER);
    let echo = Starter::new().ours().echo().start();
    let (at, out) = (echo.host.at(), echo.file("out"));
    let mut command = Command::new(pen_program());
    command.args(["-f", "-l", "/dev/stderr", &at.to_string(), &echo.at.to_string()]);
    command.stderr(File::create(&out).unwrap());
    let mut pen = command.spawn().unwrap();
    let has = |part: &str| wait_until(part, || echo.text("out").contains(part));
    has(" starting\n");
    Client::new(&at).echoes("hello\n");
    has(" hello\n");
    signal(pen.id(), "TERM");
    assert!(pen.wait().unwrap().success());
    let text = echo.text("out");
    for part in [" starting\n", " hello\n", "pen is stopping\n"] {
        assert!(text.contains(part), "{text}");
    }
}
