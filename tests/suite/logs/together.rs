//! pen, two web servers, penlog and penlogd together.

use super::processes::*;
use crate::differences::PENLOGD_LONG;
use crate::stand::{At, Dir, PATIENCE, better, is_c_pen, program, signal, wait_until};
use pen::sys;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;

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
    let address = sys::Address::Inet(to);
    let socket = sys::socket_for(&address, sys::Kind::Stream).unwrap();
    sys::bind_to(&socket, &sys::Address::Inet((from, 0).into())).unwrap();
    assert!(sys::connect_to(&socket, &address).unwrap());
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

#[test]
fn every_line_has_the_client_who_asked() {
    let (host, dir) = (Subnet::new(), Dir::new());
    let (at, log) = (host.at(2), dir.file("log"));
    let daemon = penlogd(at, &log, &[]);
    let (webs, listen) = ([host.at(11), host.at(12)], host.at(3));
    let logs = webs.map(web_server);
    let mut command = Command::new(program("pen"));
    command.args(["-f", "-r", "-l", &at.to_string(), &listen.to_string()]);
    let _pen = Daemon::start(command.args(webs.map(|web| web.to_string())));
    let listening = At::Inet(listen);
    wait_until("pen listens", || listening.is_listening());

    let mut kinds = vec![String::new(), "short".to_owned()];
    if !better(&PENLOGD_LONG) {
        kinds.push("x".repeat(200));
        kinds.push("x".repeat(3000));
        kinds.push("\"quoted\\".to_owned());
        kinds.push("caf\u{e9}\t".to_owned());
    }
    // Round robin: each client has a connection to either server.
    let mut requests = 0;
    for number in 101..=108 {
        let client = host.ip(number);
        for connection in 0..2 {
            let mut stream = connect_from(client, listen);
            for kind in &kinds {
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
        if !is_c_pen() {
            signal(daemon.child.id(), "USR1");
        }
        is_c_pen() || daemon.has_said(&said)
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
    if is_c_pen() {
        return;
    }
    signal(daemon.child.id(), "USR1");
    wait_until("the last report", || {
        daemon.has_said(&format!("{requests} lines from web servers, {requests} with"))
    });
}
