//! UDP (`-U`): more flows than there may be, and very many that begin at once.

use crate::stand::{Asker, Host, Pen, Responder, Starter, better, wait_until};
use std::collections::BTreeSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::Duration;

/// A server that answers questions with a `?` and keeps silent otherwise.
fn patient(host: &Host) -> Responder {
    Responder::start(host.at(), |question| match question {
        [b'?', ..] => vec![question.to_vec()],
        _ => Vec::new(),
    })
}

#[test]
fn the_flow_idle_for_longest_goes_first() {
    better!(UDP_IDLE);
    let pen = Starter::new().udp().args(["-x", "3"]).echo().control().start();
    let clients: Vec<Asker> = (0..4).map(|_| pen.asker()).collect();
    // Each says who asks and how many flows the server has seen then: one that
    // was ended would be seen as another.
    for (client, flows) in [
        (0, 1),
        (1, 2),
        (2, 3),
        (0, 3),
        // The second one goes.
        (3, 4),
        (2, 4),
        (0, 4),
        (3, 4),
        // It comes back, and the third one goes.
        (1, 5),
        (0, 5),
        (3, 5),
        (2, 6),
    ] {
        assert_eq!(clients[client].ask("hello"), "hello");
        assert_eq!(pen.servers[0].peers().len(), flows, "client {client}");
        assert!(pen.load(0) <= 3);
    }
}

#[test]
fn who_only_listens_is_not_idle() {
    let (starter, server) = Starter::new().udp().by_hand();
    let pen = starter.args(["-x", "3"]).start();
    let clients: Vec<Asker> = (0..4).map(|_| pen.asker()).collect();
    let hear = |client: usize| {
        clients[client].send("hello");
        server.recv_from(&mut [0; 10]).unwrap().1
    };
    let [listener, quiet, talker] = [0, 1, 2].map(hear);
    let news = || {
        server.send_to(b"news", listener).unwrap();
        assert_eq!(clients[0].receive(), b"news");
    };
    news();
    // One has to go for this.
    hear(3);
    news();
    assert_eq!([hear(0), hear(2)], [listener, talker]);
    assert_ne!(hear(1), quiet);
}

#[test]
fn the_cap_can_be_raised() {
    let pen = Starter::new().udp().args(["-x", "1"]).letters(1).control().start();
    let clients: Vec<Asker> = (0..4).map(|_| pen.asker()).collect();
    let round = || assert!(clients.iter().all(|client| client.letter() == "A"));
    round();
    assert_eq!(pen.load(0), 1);
    assert_eq!(pen.ask("conn_max 4"), "4\n");
    round();
    assert_eq!(pen.load(0), 4);
    let flows = pen.servers[0].peers().len();
    round();
    assert_eq!(pen.servers[0].peers().len(), flows);
}

/// A datagram each from so many addresses and ports that nobody listens at.
fn spoof(to: &Pen, numbers: std::ops::Range<u32>) {
    for number in numbers {
        // Below the addresses of a `Host`.
        let [_, high, middle, low] = number.to_be_bytes();
        let ip = Ipv4Addr::new(127, 1 + high, middle, low);
        let socket = UdpSocket::bind((ip, 0)).unwrap();
        socket.send_to(b"spoofed", to.at.inet()).unwrap();
    }
}

/// Asks until the answer is there. What a flood does not leave room for in the
/// sockets of a busy machine is lost before pen or its server sees it.
fn insist(client: &Asker, question: &str) {
    let second = Duration::from_secs(1);
    client.0.set_read_timeout(Some(second)).unwrap();
    let mut answer = [0; 64];
    wait_until("an answer comes", || {
        client.send(question);
        // Those to what was asked before may be late.
        while let Ok(count) = client.0.recv(&mut answer) {
            if &answer[..count] == question.as_bytes() {
                return true;
            }
        }
        false
    });
}

#[test]
fn a_flood_costs_no_more_than_the_cap_and_disturbs_nobody() {
    better!(UDP_MANY);
    const FLOOD: u32 = 100_000;
    const CAP: u32 = 500;
    // So many at a time that, with those that may wait for a place, they are
    // fewer than the cap: who talks in between is never the oldest.
    const STEP: u32 = 50;
    let host = Host::new();
    let server = patient(&host);
    let pen = Starter::on(&host)
        .udp()
        .args(["-x", &CAP.to_string()])
        .server(&server.at)
        .control()
        .expect("no place for another flow")
        .expect("more messages like these")
        .start();
    let client = pen.asker();
    assert_eq!(client.ask("?"), "?");
    let home = server.peers();
    let before = pen.status().number("Threads");
    for start in (0..FLOOD).step_by(STEP as usize) {
        spoof(&pen, start..start + STEP);
        let question = format!("?{start}");
        insist(&client, &question);
        if start % (FLOOD / 20) == 0 {
            assert!(pen.load(0) <= CAP);
            let threads = pen.status().number("Threads");
            // Some are still on their way out: how many, that depends on what
            // else the processors have to do.
            let most = before + 2 * u64::from(CAP);
            assert!(threads <= most, "{threads} threads");
            let files = std::fs::read_dir(format!("/proc/{}/fd", pen.pid())).unwrap();
            let files = files.count() as u32;
            assert!(files < 2 * CAP + 100, "{files} files are open");
        }
    }
    // One flow of the client throughout.
    let asked = server.heard().into_iter();
    let asked = asked.filter(|(_, data)| data.starts_with(b"?"));
    let from: BTreeSet<_> = asked.filter_map(|(from, _)| from).collect();
    assert_eq!(from, home);
    // Nobody is kept out by what is left of it.
    let new = pen.asker();
    new.0.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    wait_until("a new client gets an answer", || {
        new.send("?");
        new.0.recv(&mut [0; 10]).is_ok()
    });
}

#[test]
fn no_answer_goes_to_another_client() {
    better!(UDP_MANY);
    // So many at a time that the sockets hold the datagrams of all.
    const THREADS: usize = 4;
    const CLIENTS: usize = 50;
    let host = Host::new();
    let servers = [Responder::echo(host.at()), Responder::echo(host.at())];
    let pen = Starter::on(&host).udp().args(["-r"]).servers(&servers).control().start();
    thread::scope(|scope| {
        for thread in 0..THREADS {
            let pen = &pen;
            scope.spawn(move || {
                for round in 0..10 {
                    let clients: Vec<Asker> = (0..CLIENTS).map(|_| pen.asker()).collect();
                    for again in 0..3 {
                        let question = |n| format!("{thread} {round} {n} {again}");
                        for (n, client) in clients.iter().enumerate() {
                            client.send(question(n));
                        }
                        for (n, client) in clients.iter().enumerate() {
                            let answer = String::from_utf8(client.receive()).unwrap();
                            assert_eq!(answer, question(n));
                        }
                    }
                }
            });
        }
    });
    let count = servers.iter().map(Responder::count).sum::<usize>();
    assert_eq!(count, THREADS * CLIENTS * 30);
    assert!(pen.load(0) + pen.load(1) <= 500);
}
