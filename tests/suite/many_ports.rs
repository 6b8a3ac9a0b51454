//! Several ports, with one table of clients.

use crate::stand::{At, Client, Host, Pen, Starter, better, refused, run, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

/// Ports of a host that nobody has.
fn ports<const N: usize>(host: &Host) -> [At; N] {
    std::array::from_fn(|_| host.at())
}

/// The word of the command line that names them.
fn word(all: &[&At]) -> String {
    all.iter().map(|at| at.to_string()).collect::<Vec<_>>().join(",")
}

/// The letters that new clients get at these ports.
fn letters(all: &[&At]) -> String {
    all.iter().map(|at| Client::new(at).letter()).collect()
}

fn moves(pen: &Pen, all: &[&At]) {
    assert_eq!(pen.ask(&format!("listen {}", word(all))), word(all) + "\n");
}

#[test]
fn a_client_is_the_same_at_each_port() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b, c] = ports(&host);
    let starter = Starter::on(&host).listen_word(word(&[&a, &b, &c])).letters(3);
    let pen = starter.control().start();
    assert_eq!(pen.ask("listen"), word(&[&a, &b, &c]) + "\n");
    assert_eq!(letters(&[&c, &a, &b, &a]), "BBBB");
}

#[test]
fn a_move_keeps_what_stays() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b, c] = ports(&host);
    let starter = Starter::on(&host).listen_word(word(&[&a, &b])).args(["-x", "1"]).letters(1);
    let pen = starter.control().expect("clients wait: all ").start();
    let first = Client::new(&a);
    assert_eq!(first.letter(), "A");
    // They wait at a port that stays and at one that goes.
    let waiting = [Client::new(&a), Client::new(&b)];
    moves(&pen, &[&c, &a]);
    drop(first);
    let [stays, goes] = waiting;
    assert_eq!(goes.letter(), "A");
    drop(goes);
    assert_eq!(stays.letter(), "A");
    drop(stays);
    wait_until("the port that is left is closed", || b.connect().is_err());
    assert_eq!(letters(&[&a, &c]), "AA");
}

#[test]
fn no_client_is_lost_on_a_port_that_stays() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [stays, one, other] = ports(&host);
    let pen = Starter::on(&host).listen_word(word(&[&stays, &one])).letters(1).control().start();
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    assert_eq!(letters(&[&stays]), "A");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        for round in 0..100 {
            let before = served.load(SeqCst);
            let next = if round % 2 == 0 { &other } else { &one };
            // It stays wherever it is in the word.
            let all = if round % 3 == 0 { [&stays, next] } else { [next, &stays] };
            moves(&pen, &all);
            assert_eq!(letters(&[next]), "A");
            wait_until("clients are served", || served.load(SeqCst) > before + 3);
        }
        stop.store(true, SeqCst);
    });
}

#[test]
fn a_set_is_opened_as_a_whole_or_not_at_all() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b] = ports(&host);
    let pen = Starter::on(&host).listen_word(a.to_string()).letters(1).control().start();
    let before = pen.ask("listen");
    for (word, why) in [
        (format!("{b},192.0.2.1:80"), "cannot listen on 192.0.2.1:80"),
        (format!("{a},{a}"), "is there twice"),
        (format!("{a},80"), "a port needs one"),
        (format!("{}:2000-4000", host.ip), "more than 1024 ports"),
        (format!("{a},{}", host.file("way").display()), "a Unix socket"),
        (format!("{b},{}", pen.servers[0].at()), "pen itself listens"),
    ] {
        let reply = pen.ask(&format!("listen {word}"));
        assert!(reply.starts_with(&word) || reply.contains(why), "{reply}");
        assert!(reply.contains(why) && reply.lines().count() == 1, "{reply}");
        assert_eq!(pen.ask("listen"), before);
        assert!(b.connect().is_err(), "{word} was opened in part");
    }
    assert_eq!(letters(&[&a]), "A");
}

#[test]
fn the_start_says_what_is_wrong_with_a_list() {
    better!(MANY_PORTS);
    let host = Host::new();
    let (a, server) = (host.at(), host.at().to_string());
    refused(&[&*format!("{a},192.0.2.1:80"), &server], &["cannot listen on 192.0.2.1:80"]);
    let ours = format!("{a},{server}");
    refused(&[&*ours, &server], &["pen itself listens"]);
    for (word, why) in [
        ("8010-8000", "expected a range such as 8000-8010"),
        ("80,,81", "expected a port number"),
        ("1-2000", "more than 1024 ports"),
        (&*ours, "pen itself listens"),
    ] {
        let (status, _, stderr) = run(["--check", word, &server]);
        assert_eq!(status, 1, "{word}");
        assert!(stderr.contains(why), "{word}: {stderr}");
    }
}

#[test]
fn hundreds_of_ports_are_served() {
    better!(MANY_PORTS);
    const FIRST: u16 = 21_000;
    let host = Host::new();
    let at = |port: u16| At::Inet((host.ip, port).into());
    let starter = Starter::at(at(FIRST)).listen_word(format!("{}:21000-21299", host.ip));
    let pen = starter.letters(1).control().start();
    // Each of them is tried, and many have clients at once.
    let clients: Vec<Client> = (FIRST..FIRST + 300).map(|port| Client::new(&at(port))).collect();
    assert!(clients.iter().all(|client| client.letter() == "A"));
    drop(clients);
    assert_eq!(pen.ask(&format!("listen {}", pen.at)), format!("{}\n", pen.at));
    wait_until("the others are closed", || {
        (FIRST + 1..FIRST + 300).all(|p| at(p).connect().is_err())
    });
    assert_eq!(pen.letter(), "A");
}

/// A port at which clients queue does not keep those of another one waiting.
#[test]
fn each_port_has_its_turn() {
    better!(MANY_PORTS);
    const QUEUE: usize = 200;
    let host = Host::new();
    let [busy, quiet] = ports(&host);
    let starter = Starter::on(&host).listen_word(word(&[&busy, &quiet]));
    let starter = starter.args(["-x", "1", "-O", "tcp_fastclose up"]).serve(|stream| {
        let mut stream: &TcpStream = &stream;
        if matches!(stream.read(&mut [0]), Ok(1)) {
            let _ = stream.write_all(b"A");
        }
    });
    let pen = starter.expect("clients wait: all ").start();
    let first = Client::new(&busy);
    wait_until("it has the slot", || pen.servers[0].count() == 1);
    let queue: Vec<Client> = (0..QUEUE).map(|_| Client::new(&busy)).collect();
    queue.iter().for_each(|client| client.send("?"));
    pen.says("clients wait: all ");
    let other = Client::new(&quiet);
    other.send("?");
    first.send("?");
    assert_eq!(other.letter(), "A");
    let served = pen.servers[0].count();
    assert!(served < QUEUE / 2, "{served} came first");
    assert!(queue.iter().all(|client| client.letter() == "A"));
}

#[test]
fn datagrams_are_answered_from_the_port_that_they_came_to() {
    better!(MANY_PORTS);
    let host = Host::new();
    let [a, b, c] = ports(&host);
    let starter = Starter::on(&host).udp().listen_word(word(&[&a, &b])).letters(3);
    let pen = starter.control().start();
    // One socket of a client, which takes what comes from the port that it asked.
    let socket = host.socket();
    let ask = |at: &At| {
        socket.send_to(b"?", at.inet()).unwrap();
        let mut letter = [0];
        let (_, from) = socket.recv_from(&mut letter).unwrap();
        assert_eq!(from, at.inet());
        char::from(letter[0])
    };
    assert_eq!([&a, &b, &a].map(ask), ['B'; 3]);
    let flows = || pen.load(1);
    assert_eq!(flows(), 2);
    // The flows of the port that stays go on.
    moves(&pen, &[&a, &c]);
    assert_eq!([&a, &c].map(ask), ['B'; 2]);
    wait_until("the flow of the port that is left has ended", || flows() == 2);
    assert_eq!(pen.servers[1].peers().len(), 3, "a flow was begun again");
}
