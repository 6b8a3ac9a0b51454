//! penlog and penlogd from outside: real processes, real datagrams.

mod stand;
use stand::*;

use pen::sys;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self};
use std::time::Duration;

#[test]
fn penlog_sends_each_line_as_a_datagram() {
    let place = Place::new();
    let at = place.at(2);
    let socket = UdpSocket::bind(at).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut sender = Sender::new(at, place.ip(3));
    let mut buffer = vec![0; 70_000];
    let mut expect = |want: &[u8]| {
        let (count, from) = socket.recv_from(&mut buffer).unwrap();
        assert_eq!(text(&buffer[..count]), text(want));
        assert_eq!(from.ip(), place.ip(3));
    };
    // While the pipe is open: nothing waits for more.
    sender.write("one\n");
    expect(b"one\n");
    sender.write(b"two \xff\0\r\n\n");
    expect(b"two \xff\0\r\n");
    expect(b"\n");
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
    let place = Place::new();
    let at = place.at(2);
    let mut sender = Sender::new(at, place.ip(3));
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
        (
            &["127.0.0.1", "x-y"],
            1,
            "penlog: fatal: x-y: expected a port",
        ),
        (&["127.0.0.1", "9", "192.0.2.1"], 1, "from 192.0.2.1: "),
        (&["127.0.0.1", "9"], 0, ""),
    ] {
        let output = output(Command::new(PENLOG).args(words));
        assert_eq!(output.status.code(), Some(status), "{words:?}");
        let stderr = text(&output.stderr);
        assert!(stderr.contains(part), "{words:?}: {stderr}");
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

#[test]
fn odd_datagrams_harm_nothing() {
    let (place, dir) = (Place::new(), Dir::new());
    let (at, log) = (place.at(2), dir.file("log"));
    let _daemon = penlogd(at, &log, &["-n", "3"]);
    let long = vec![b'z'; 60_000];
    let pens = [b"+ 192.0.2.7 192.0.2.1 GET /".to_vec(), long.clone()].concat();
    let quotes = vec![b'"'; 2000];
    let slashes = [b"\"".to_vec(), vec![b'\\'; 2001]].concat();
    send(
        place.ip(3),
        at,
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
    let all = lines(&log, 7);
    assert_eq!(all[..3], ["plain\u{7}\u{fffd}", "one", "two"]);
    assert_eq!(all[5], "z".repeat(8192));
    assert_eq!(all[6], "last");
}

#[test]
fn the_newest_of_n_requests_counts() {
    let (place, dir) = (Place::new(), Dir::new());
    let (at, log) = (place.at(2), dir.file("log"));
    let _daemon = penlogd(at, &log, &["-n", "2"]);
    let web = place.ip(3);
    let pen = |client: &str, request: &str| {
        let line = format!("+ {client} {web} {request}\n");
        send(place.ip(9), at, &[line.as_bytes()]);
    };
    let ask = |request: &str| {
        let line = format!("pen - - [now] \"{request}\" 200 1\n");
        send(web, at, &[line.as_bytes()]);
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
    send(place.ip(4), at, &[b"pen - - \"GET /2 HTTP/1.0\" 200"]);
    let all = lines(&log, 7);
    let clients = all.iter().map(|line| line.split(' ').next().unwrap());
    let want = "2001:db8::2 2001:db8::2 pen 198.51.100.3 198.51.100.3 pen pen";
    assert_eq!(clients.collect::<Vec<_>>().join(" "), want);
    assert_eq!(all[3], "198.51.100.3 - - [now] \"GET /2 HTTP/1.0\" 200 1");
}

#[test]
fn ipv6_as_well() {
    if UdpSocket::bind("[::1]:0").is_err() {
        return;
    }
    let dir = Dir::new();
    let log = dir.file("log");
    let port = UdpSocket::bind("[::]:0").unwrap().local_addr().unwrap();
    let mut command = Command::new(PENLOGD);
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
    let (place, dir) = (Place::new(), Dir::new());
    let at = place.at(2);
    let (log, old, pid_file) = (dir.file("log"), dir.file("log.1"), dir.file("pid"));
    let mut command = Command::new(PENLOGD);
    // Relative paths keep working.
    command.current_dir(&dir.0).args(["-p", "pid", "-l", "log"]);
    let output = output(command.arg(at.to_string()));
    assert!(output.status.success(), "{output:?}");
    assert_eq!(text(&output.stderr), "");
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    // The parent has left, so it listens.
    send(place.ip(3), at, &[b"one"]);
    lines(&log, 1);
    fs::rename(&log, &old).unwrap();
    send(place.ip(3), at, &[b"two"]);
    lines(&old, 2);
    signal(pid, "HUP");
    wait_until("the log is there again", || log.exists());
    send(place.ip(3), at, &[b"three"]);
    assert_eq!(lines(&log, 1), ["three"]);
    signal(pid, "INT");
    wait_until("the pid file is removed", || !pid_file.exists());
    assert_eq!(fs::read_to_string(&old).unwrap(), "one\ntwo\n");
}

#[test]
fn standard_output_serves_in_the_background_too() {
    let (place, dir) = (Place::new(), Dir::new());
    let (at, pid_file) = (place.at(2), dir.file("pid"));
    let mut command = Command::new(PENLOGD);
    command.arg("-p").arg(&pid_file).arg(at.to_string());
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    assert!(child.wait().unwrap().success());
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    send(place.ip(3), at, &[b"one"]);
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "one\n");
    let pid: u32 = fs::read_to_string(&pid_file).unwrap().parse().unwrap();
    signal(pid, "TERM");
    assert_eq!(out.read_line(&mut line).unwrap(), 0);
}

#[test]
fn it_ends_when_nobody_reads_its_output() {
    let (place, dir) = (Place::new(), Dir::new());
    let (at, pid_file) = (place.at(2), dir.file("pid"));
    let mut command = Command::new(PENLOGD);
    command
        .args(["-f", "-p"])
        .arg(&pid_file)
        .arg(at.to_string());
    let mut daemon = Daemon::start(command.stdout(Stdio::piped()));
    drop(daemon.child.stdout.take());
    // Not just once: a process that another test is starting may have the
    // other end of the pipe for a moment.
    wait_until("it ends", || {
        send(place.ip(3), at, &[b"one"]);
        daemon.child.try_wait().unwrap().is_some()
    });
    assert_eq!(daemon.wait().code(), Some(1));
    assert!(daemon.has_said("standard output: cannot write: "));
    assert!(!pid_file.exists());
}

#[test]
fn penlogd_names_what_is_wrong_before_the_parent_leaves() {
    let place = Place::new();
    let at = place.at(2);
    let _taken = UdpSocket::bind(at).unwrap();
    let (taken, free) = (at.to_string(), place.at(2).to_string());
    for (words, part) in [
        (&[taken.as_str()][..], "cannot listen: "),
        (&["-n", "x", &free], "-n x: expected a number"),
        (&["-u", "no-such-user", &free], "-u no-such-user: "),
        (&["-l", "/nonexistent/log", &free], "-l /nonexistent/log: "),
        (&["-p", "/nonexistent/pid", &free], "-p /nonexistent/pid: "),
        (&["-j", "/nonexistent", &free], "-j /nonexistent: "),
        (&["-x", &free], "-x: no such option"),
    ] {
        let output = output(Command::new(PENLOGD).args(words));
        let stderr = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{words:?}: {stderr}");
        assert!(stderr.starts_with("penlogd: fatal: "), "{stderr}");
        assert!(stderr.contains(part), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
    for words in [&[][..], &["--help"], &["--version"]] {
        let output = output(Command::new(PENLOGD).args(words));
        assert!(output.status.success());
        assert!(text(&output.stdout).contains("penlogd "));
    }
}

// --- everything together ---------------------------------------------------

/// A small web server that remembers its log lines, as Apache would write them.
fn web_server(at: SocketAddr) -> Arc<Mutex<Vec<String>>> {
    let log = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&log);
    let listener = TcpListener::bind(at).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let log = Arc::clone(&kept);
            thread::spawn(move || serve(&stream, &log));
        }
    });
    log
}

fn serve(mut stream: &TcpStream, log: &Mutex<Vec<String>>) {
    let peer = stream.peer_addr().unwrap().ip();
    let mut from = BufReader::new(stream);
    loop {
        let mut request = Vec::new();
        from.read_until(b'\n', &mut request).unwrap();
        if request.is_empty() {
            return;
        }
        let mut line = Vec::new();
        while line != b"\r\n" {
            line.clear();
            from.read_until(b'\n', &mut line).unwrap();
        }
        let mut quoted = String::new();
        for byte in request.trim_ascii_end() {
            match byte {
                b'"' | b'\\' => quoted.extend(['\\', char::from(*byte)]),
                b'\t' => quoted.push_str("\\t"),
                b' '..=b'~' => quoted.push(char::from(*byte)),
                byte => quoted.push_str(&format!("\\x{byte:02x}")),
            }
        }
        let time = "01/Jan/2026:00:00:00 +0000";
        let line = format!("{peer} - - [{time}] \"{quoted}\" 200 2 \"-\" \"test\"\n");
        log.lock().unwrap().push(line);
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
        stream.write_all(answer).unwrap();
    }
}

/// A connection from an address of the test's choice.
fn connect_from(from: Ipv4Addr, to: SocketAddr) -> TcpStream {
    let place = sys::Place::Inet(to);
    let socket = sys::socket_for(place, sys::Kind::Stream).unwrap();
    sys::bind_to(&socket, sys::Place::Inet((from, 0).into())).unwrap();
    assert!(sys::connect_to(&socket, place).unwrap());
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn every_line_has_the_client_who_asked() {
    let (place, dir) = (Place::new(), Dir::new());
    let (at, log) = (place.at(2), dir.file("log"));
    let daemon = penlogd(at, &log, &[]);
    let (webs, listen) = ([place.at(11), place.at(12)], place.at(3));
    let logs = webs.map(web_server);
    let mut command = Command::new(PEN);
    command.args(["-f", "-r", "-l", &at.to_string(), &listen.to_string()]);
    let _pen = Daemon::start(command.args(webs.map(|web| web.to_string())));

    // Round robin: each client has a connection to either server.
    let mut requests = 0;
    for number in 101..=108 {
        let client = place.ip(number);
        for connection in 0..2 {
            let mut stream = connect_from(client, listen);
            for kind in [
                String::new(),
                "x".repeat(200),
                "x".repeat(3000),
                "\"quoted\\".to_owned(),
                "caf\u{e9}\t".to_owned(),
            ] {
                let request =
                    format!("GET /{client}/{connection}/{kind} HTTP/1.1\r\nHost: x\r\n\r\n");
                stream.write_all(request.as_bytes()).unwrap();
                let mut answer = [0; 40];
                stream.read_exact(&mut answer).unwrap();
                assert!(answer.ends_with(b"ok"));
                requests += 1;
            }
        }
    }
    // pen's lines come from a thread of their own. Web servers, too, write
    // their lines when all is over; here they wait to be sure of it.
    let said = format!(" {requests} requests from pens, ");
    wait_until("penlogd has heard of every request", || {
        signal(daemon.child.id(), "USR1");
        daemon.has_said(&said)
    });
    for (web, log) in webs.iter().zip(&logs) {
        let SocketAddr::V4(web) = web else {
            panic!("not IPv4");
        };
        let mut sender = Sender::new(at, *web.ip());
        let lines = log.lock().unwrap().concat();
        assert_eq!(lines.lines().count() * 2, requests);
        sender.write(lines);
        sender.finish();
    }
    for line in lines(&log, requests) {
        let (client, rest) = line.split_once(' ').unwrap();
        assert!(rest.contains(&format!("\"GET /{client}/")), "{line}");
        assert!(rest.ends_with(" 200 2 \"-\" \"test\""), "{line}");
    }
    signal(daemon.child.id(), "USR1");
    wait_until("the last report", || {
        daemon.has_said(&format!(
            "{requests} lines from web servers, {requests} with"
        ))
    });
}
