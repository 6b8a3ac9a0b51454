//! penlog and penlogd from outside: real processes, real datagrams.

mod processes;
mod together;

use processes::*;

use crate::differences::*;
use crate::stand::{
    At, Dir, PATIENCE, better, is_c_pen, program, signal, skipped, wait_until, worse,
};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Stdio};
use std::time::Duration;

#[test]
fn penlog_sends_each_line_as_a_datagram() {
    let host = Subnet::new();
    let at = host.at(2);
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sender = Sender::new(at, host.ip(3));
    let mut buffer = vec![0; 70_000];
    let mut expect = |want: &[u8]| {
        let (count, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(text(&buffer[..count]), text(want));
        assert_eq!(from.ip(), host.ip(3));
    };
    // While the pipe is open: nothing waits for more.
    sender.write("one\n");
    expect(b"one\n");
    sender.write(b"two \xff\r\n\n");
    expect(b"two \xff\r\n");
    expect(b"\n");
    if worse(&PENLOG_LINES) {
        sender.write(format!("a\0b\n{}\n", "x".repeat(1100)));
        expect(b"a");
        expect("x".repeat(1023).as_bytes());
        sender.finish();
        return;
    }
    sender.write("a\0b\n");
    expect(b"a\0b\n");
    let long = "x".repeat(8191);
    sender.write(format!("{long}\n{long}yyy\nlast"));
    let long = format!("{long}\n");
    expect(long.as_bytes());
    expect(long.as_bytes());
    sender.finish();
    expect(b"last\n");
}

#[test]
fn penlog_survives_a_penlogd_that_is_not_there() {
    let host = Subnet::new();
    let at = host.at(2);
    let mut sender = Sender::new(at, host.ip(3));
    // Refused, each of them, and more than a pipe holds.
    for _ in 0..1000 {
        sender.write("a line that nobody will ever read, of about eighty bytes, like so many\n");
    }
    let socket = UdpSocket::bind(at).unwrap();
    let moment = Duration::from_millis(20);
    socket.set_read_timeout(Some(moment)).unwrap();
    let mut buffer = [0; 100];
    // What still was in the pipe may have filled the socket's queue.
    wait_until("a line arrives", || {
        sender.write("now\n");
        while let Ok(count) = socket.recv(&mut buffer) {
            if &buffer[..count] == b"now\n" {
                return true;
            }
        }
        false
    });
    sender.finish();
}

#[test]
fn penlog_names_what_is_wrong() {
    for (words, status, part) in [
        (&[][..], 1, "usage: penlog server port [my_ip]\n"),
        (&["host"], 1, "usage: penlog"),
        (&["host", "1", "2", "3"], 1, "usage: penlog"),
        (&["127.0.0.1", "x-y"], 1, "penlog: fatal: x-y: expected a port"),
        (&["127.0.0.1", "9", "192.0.2.1"], 1, "from 192.0.2.1: "),
        (&["127.0.0.1", "9"], 0, ""),
    ] {
        let output = output(Command::new(program("penlog")).args(words));
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        let stderr = text(&output.stderr);
        assert!(is_c_pen() || stderr.contains(part), "{words:?}: {stderr}");
        assert_eq!(stderr.lines().count(), usize::from(status == 1));
        assert_eq!(text(&output.stdout), "");
    }
}

// --- penlogd ---------------------------------------------------------------

/// Sends datagrams, from this address, through one socket.
fn send(from: Ipv4Addr, to: SocketAddr, datagrams: &[&[u8]]) {
    let socket = UdpSocket::bind((from, 0)).unwrap();
    for datagram in datagrams {
        socket.send_to(datagram, to).unwrap();
    }
}

/// What a web server logs.
const WEB_LINE: &[u8] = b"192.0.2.1 - - [now] \"GET / HTTP/1.0\" 200 1\n";

#[test]
fn a_log_that_penlogd_makes_is_not_for_everybody() {
    let (host, dir) = (Subnet::new(), Dir::new());
    let log = dir.file("log");
    let _daemon = penlogd(host.at(2), &log, &[]);
    wait_until("the log is there", || log.exists());
    let mode = fs::metadata(&log).unwrap().permissions().mode();
    assert_eq!(mode & 0o007, if worse(&LOG_MODE) { 0o004 } else { 0 });
}

#[test]
fn messages_that_nobody_reads_stop_no_lines() {
    better!(UNREAD);
    let (host, dir) = (Subnet::new(), Dir::new());
    let (at, log) = (host.at(2), dir.file("log"));
    let mut command = Command::new(program("penlogd"));
    command.args(["-df", "-l"]).arg(&log).arg(place_word(at));
    let _daemon = Daemon::unread(command.stdin(Stdio::null()));
    wait_until("it listens", || At::Inet(at).is_listening());
    for count in 1..=300 {
        // No pen has told of it, and that is said.
        send(host.ip(3), at, &[WEB_LINE]);
        lines(&log, count);
    }
    // And it ends when it is told to.
}

#[test]
fn odd_datagrams_harm_nothing() {
    better!(PENLOGD_ODD);
    let site = Site::new(&["-n", "3"]);
    let long = vec![b'z'; 60_000];
    let pens = [b"+ 192.0.2.7 192.0.2.1 GET /".to_vec(), long.clone()].concat();
    let quotes = vec![b'"'; 2000];
    let slashes = [b"\"".to_vec(), vec![b'\\'; 2001]].concat();
    send(
        site.host.ip(3),
        site.at,
        &[
            b"",
            b"\n\n",
            b"+ ",
            b"+ \n+ x\n+ 192.0.2.7 nowhere GET /\n",
            b"+ 192.0.2.7 192.0.2.1 \xff\0\"\n",
            &pens,
            b"plain\x07\xff",
            b"one\ntwo\n",
            &quotes,
            &slashes,
            &long,
            b"last\n",
        ],
    );
    let all = site.lines(7);
    assert_eq!(all[..3], ["plain.\u{fffd}", "one", "two"]);
    assert_eq!(all[5], "z".repeat(8192));
    assert_eq!(all[6], "last");
}

#[test]
fn the_newest_request_counts() {
    let site = Site::new(&[]);
    let (web, other) = (site.host.ip(3), site.host.ip(4));
    for client in ["198.51.100.1", "2001:db8::2"] {
        let line = format!("+ {client} {web} GET /1 HTTP/1.0\n");
        send(site.host.ip(9), site.at, &[line.as_bytes()]);
    }
    for (server, request) in [
        (web, "GET /1 HTTP/1.0"),
        (web, "GET /1 HTTP/1.0"),
        // Others than pen has told of: the line stays as it is.
        (other, "GET /1 HTTP/1.0"),
        (web, "GET /1 HTTP/1.1"),
    ] {
        let line = format!("pen - - [now] \"{request}\" 200 1\n");
        send(server, site.at, &[line.as_bytes()]);
    }
    let all = site.lines(4);
    let clients = all.iter().map(|line| line.split(' ').next().unwrap());
    let wanted = ["2001:db8::2", "2001:db8::2", "pen", "pen"];
    assert_eq!(clients.collect::<Vec<_>>(), wanted);
    assert_eq!(all[1], "2001:db8::2 - - [now] \"GET /1 HTTP/1.0\" 200 1");
}

#[test]
fn a_request_is_more_than_its_beginning() {
    let site = Site::new(&[]);
    let web = site.host.ip(3);
    let line = format!("+ 198.51.100.1 {web} GET /1abc HTTP/1.0\n");
    send(site.host.ip(9), site.at, &[line.as_bytes()]);
    send(web, site.at, &[b"pen - - [now] \"GET /1\" 200 1\n"]);
    let client = if worse(&PENLOGD_PREFIX) { "198.51.100.1" } else { "pen" };
    assert!(site.lines(1)[0].starts_with(&format!("{client} ")));
}

#[test]
fn a_line_without_a_request_stays() {
    let site = Site::new(&[]);
    send(site.host.ip(3), site.at, &[b"plain\n", WEB_LINE]);
    let count = if worse(&PENLOGD_LINE) { 1 } else { 2 };
    site.lines(count);
}

/// A line that would look like another one on a terminal.
#[test]
fn lines_cannot_pretend() {
    let site = Site::new(&[]);
    let line = "x - - \"GET /\tcaf\u{e9}\u{9b}2K\r198.51.100.7\x1b[8m\" 200";
    send(site.host.ip(3), site.at, &[format!("{line}\n").as_bytes()]);
    wait_until("the line is in the log", || {
        fs::read(&site.log).is_ok_and(|data| data.ends_with(b"\n"))
    });
    let text = fs::read_to_string(&site.log).unwrap();
    let want = match worse(&OTHERS_LINES) {
        true => line,
        false => "x - - \"GET /\tcaf\u{e9}.2K.198.51.100.7.[8m\" 200",
    };
    assert_eq!(text, format!("{want}\n"));
}

/// The same care as pen's.
#[test]
fn planted_links_are_not_followed() {
    better!(PLANTED);
    let (host, all) = (Subnet::new(), Dir::new().open_to_all());
    let (victim, link) = (all.file("victim"), all.file("link"));
    fs::write(&victim, "whole").unwrap();
    std::os::unix::fs::symlink(&victim, &link).unwrap();
    for option in ["-l", "-p"] {
        let mut command = Command::new(program("penlogd"));
        command.arg("-f").arg(option).arg(&link);
        let output = command.arg(place_word(host.at(2))).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains("not followed"), "{errors}");
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
}

#[test]
fn the_newest_of_n_requests_counts() {
    better!(PENLOGD_RING);
    let site = Site::new(&["-n", "2"]);
    let web = site.host.ip(3);
    let pen = |client: &str, request: &str| {
        let line = format!("+ {client} {web} {request}\n");
        send(site.host.ip(9), site.at, &[line.as_bytes()]);
    };
    let ask = |request: &str| {
        let line = format!("pen - - [now] \"{request}\" 200 1\n");
        send(web, site.at, &[line.as_bytes()]);
    };
    pen("198.51.100.1", "GET /1 HTTP/1.0");
    pen("2001:db8::2", "GET /1 HTTP/1.0");
    ask("GET /1 HTTP/1.0");
    pen("198.51.100.3", "GET /2 HTTP/1.0");
    ask("GET /1 HTTP/1.0");
    pen("198.51.100.4", "GET /3 HTTP/1.0");
    ask("GET /1 HTTP/1.0");
    ask("GET /2 HTTP/1.0");
    ask("GET /2");
    ask("GET /2 HTTP/1.1");
    // The same from another server.
    send(site.host.ip(4), site.at, &[b"pen - - \"GET /2 HTTP/1.0\" 200"]);
    let all = site.lines(7);
    let clients = all.iter().map(|line| line.split(' ').next().unwrap());
    let want = "2001:db8::2 2001:db8::2 pen 198.51.100.3 198.51.100.3 pen pen";
    assert_eq!(clients.collect::<Vec<_>>().join(" "), want);
    assert_eq!(all[3], "198.51.100.3 - - [now] \"GET /2 HTTP/1.0\" 200 1");
}

#[test]
fn ipv6_as_well() {
    better!(PENLOGD_V6);
    if UdpSocket::bind("[::1]:0").is_err() {
        return skipped("no IPv6 here");
    }
    let dir = Dir::new();
    let log = dir.file("log");
    let port = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(program("penlogd"));
    command.args(["-f", "-l"]).arg(&log);
    let _daemon = Daemon::start(command.arg(port.port().to_string()));
    for host in ["::1", "127.0.0.1"] {
        let socket = UdpSocket::bind((host, 0)).unwrap();
        let send = |text: String| {
            let to = (host, port.port());
            socket.send_to(text.as_bytes(), to).unwrap();
        };
        send(format!("+ client-of-{host} {host} GET /\n"));
        send("pen \"GET /\" 200\n".to_owned());
    }
    let mut all = lines(&log, 2);
    all.sort(); // each family may have a socket of its own
    let want = ["client-of-127.0.0.1", "client-of-::1"].map(|word| format!("{word} \"GET /\" 200"));
    assert_eq!(all, want);
}

#[test]
fn in_the_background() {
    let (host, dir) = (Subnet::new(), Dir::new());
    let at = host.at(2);
    let (log, old, pid_file) = (dir.file("log"), dir.file("log.1"), dir.file("pid"));
    let mut command = Command::new(program("penlogd"));
    // Relative paths keep working.
    command.current_dir(dir.path());
    command.args(["-b", "-p", "pid", "-l", "log"]);
    let errors = dir.file("errors");
    command.stderr(fs::File::create(&errors).unwrap());
    let status = command.arg(place_word(at)).stdin(Stdio::null()).status();
    assert!(status.unwrap().success());
    assert_eq!(fs::read_to_string(&errors).unwrap(), "");
    let penlogd = background(at, &pid_file);
    // The parent has left, so it listens.
    send(host.ip(3), at, &[WEB_LINE]);
    lines(&log, 1);
    fs::rename(&log, &old).unwrap();
    send(host.ip(3), at, &[WEB_LINE]);
    lines(&old, 2);
    penlogd.signal("HUP");
    wait_until("the log is there again", || log.exists());
    send(host.ip(3), at, &[WEB_LINE]);
    assert_eq!(lines(&log, 1).len(), 1);
    penlogd.signal(if is_c_pen() { "TERM" } else { "INT" });
    wait_until("the pid file is removed", || !pid_file.exists());
    assert_eq!(lines(&old, 2).len(), 2);
}

/// Whoever sends HUP may have put a pipe where the log was.
#[test]
fn a_pipe_that_nobody_reads_holds_up_no_penlogd() {
    better!(LOG_PIPE);
    let (host, dir) = (Subnet::new(), Dir::new());
    let (at, log, old) = (host.at(2), dir.file("log"), dir.file("old"));
    let penlogd = penlogd(at, &log, &[]);
    fs::rename(&log, &old).unwrap();
    assert!(Command::new("mkfifo").arg(&log).status().unwrap().success());
    signal(penlogd.child.id(), "HUP");
    wait_until("it says so", || penlogd.has_said("cannot open the log"));
    send(host.ip(3), at, &[WEB_LINE]);
    assert_eq!(lines(&old, 1).len(), 1);
}

#[test]
fn standard_output_serves_in_the_background_too() {
    better!(PENLOGD_OUTPUT);
    let (host, dir) = (Subnet::new(), Dir::new());
    let (at, pid_file) = (host.at(2), dir.file("pid"));
    let mut command = Command::new(program("penlogd"));
    command.arg("-bp").arg(&pid_file).arg(place_word(at));
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    let penlogd = background(at, &pid_file);
    send(host.ip(3), at, &[WEB_LINE]);
    out.read_line(&mut line).unwrap();
    assert_eq!(line.as_bytes(), WEB_LINE);
    penlogd.signal("TERM");
    assert_eq!(out.read_line(&mut line).unwrap(), 0);
}

#[test]
fn it_ends_when_nobody_reads_its_output() {
    better!(PENLOGD_OUTPUT);
    let (host, dir) = (Subnet::new(), Dir::new());
    let (at, pid_file) = (host.at(2), dir.file("pid"));
    let mut command = Command::new(program("penlogd"));
    command.args(["-f", "-p"]).arg(&pid_file).arg(place_word(at));
    let mut daemon = Daemon::start(command.stdout(Stdio::piped()));
    drop(daemon.child.stdout.take());
    // Not just once: a process that another test is starting may have the
    // other end of the pipe for a moment.
    wait_until("it ends", || {
        send(host.ip(3), at, &[b"one"]);
        daemon.child.try_wait().unwrap().is_some()
    });
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.has_said("standard output: cannot write"));
    assert!(!pid_file.exists());
}

#[test]
fn penlogd_names_what_is_wrong_before_the_parent_leaves() {
    if worse(&PENLOGD_START) {
        let port = Subnet::new().at(2).port().to_string();
        let mut command = Command::new(program("penlogd"));
        let output = output(command.args(["-l", "/nonexistent/log", &port]));
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let host = Subnet::new();
    let at = host.at(2);
    let _taken = UdpSocket::bind(at).unwrap();
    let (taken, free) = (at.to_string(), host.at(2).to_string());
    for (words, part) in [
        (&[taken.as_str()][..], "cannot listen: "),
        (&["-n", "x", &free], "-n x: expected a number"),
        (&["-u", "no-such-user", &free], "-u no-such-user: "),
        (&["-l", "/nonexistent/log", &free], "-l /nonexistent/log: "),
        (&["-p", "/nonexistent/pid", &free], "-p /nonexistent/pid: "),
        (&["-j", "/nonexistent", &free], "-j /nonexistent: "),
        (&["-x", &free], "-x: no such option"),
    ] {
        let output = output(Command::new(program("penlogd")).args(words));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.starts_with("penlogd: fatal: "), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    for words in [&[][..], &["--help"], &["--version"]] {
        let output = output(Command::new(program("penlogd")).args(words));
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("penlogd "));
    }
}
