//! UDP (`-U`): which server a flow gets, and with `udp_balance datagram`, each
//! datagram.

use crate::stand::{Asker, Host, Pen, Responder, Starter, better, hashed, responders, wait_until};

/// New clients with these addresses, 127.0.0.N, one after the other; the
/// letters of their servers.
fn numbers<const N: usize>(pen: &Pen, numbers: [u8; N]) -> String {
    numbers.iter().map(|number| Asker::number(*number, &pen.at).letter()).collect()
}

#[test]
fn a_client_returns_to_its_server() {
    let host = Host::new();
    let servers = responders(&host, 3);
    let starter = Starter::datagrams(&host).servers(&servers);
    let pen = starter.control(host.at()).start();
    assert_eq!(numbers(&pen, [2, 3, 4, 5]), "BCAB");
    // From other ports: other flows, the same clients.
    assert_eq!(numbers(&pen, [5, 4, 3, 2, 2, 3]), "BACBBC");
    let table = pen.ask("recent");
    assert!(table.contains("127.0.0.2 connects 3 "), "{table}");
}

const MODULO: [&str; 2] = ["-O", "hash_type modulo"];

#[test]
fn by_hash() {
    let host = Host::new();
    let servers = responders(&host, 5);
    for last in [1, 2, 3, 77] {
        let pen = Starter::datagrams(&host).args(MODULO).args(["-h"]).servers(&servers).start();
        assert_eq!(numbers(&pen, [last; 2]), hashed(last, None, 5).repeat(2));
    }
    let pen = Starter::datagrams(&host).args(MODULO).args(["-hr"]).servers(&servers).start();
    for _ in 0..20 {
        let client = pen.asker();
        let port = client.addr().port();
        assert_eq!(client.letter(), hashed(1, Some(port), 5), "port {port}");
    }
}

#[test]
fn by_weight() {
    let host = Host::new();
    let servers = responders(&host, 3);
    let mut starter = Starter::datagrams(&host).args(["-rW"]);
    for (server, weight) in servers.iter().zip([2, 3, 0]) {
        starter = starter.operand(format!("{}:0:0:{weight}", server.at));
    }
    let pen = starter.start();
    let clients: Vec<Asker> = (0..8).map(|_| pen.asker()).collect();
    for _ in 0..2 {
        let round: String = clients.iter().map(Asker::letter).collect();
        assert_eq!(round, "ABBABABB");
    }
}

#[test]
fn flows_count_against_the_limit() {
    let host = Host::new();
    let servers = responders(&host, 2);
    let emergency = Responder::letter(host.at(), 'E');
    let mut starter = Starter::datagrams(&host).args(["-r", "-e", &emergency.at.to_string()]);
    for server in &servers {
        starter = starter.operand(format!("{}:1", server.at));
    }
    let pen = starter.control(host.at()).start();
    let clients: Vec<Asker> = (0..4).map(|_| pen.asker()).collect();
    let round: String = clients.iter().map(Asker::letter).collect();
    assert_eq!(round, "BAEE");
    assert_eq!((pen.load(0), pen.load(1)), (1, 1));
    assert_eq!(pen.ask("close 0"), "Forcibly closing connection 0\n");
    wait_until("server 1 has room", || pen.load(1) == 0);
    assert_eq!(pen.asker().letter(), "B");
}

#[test]
fn without_room_anywhere_a_datagram_goes_nowhere() {
    let host = Host::new();
    let servers = responders(&host, 1);
    let pen = Starter::datagrams(&host)
        .operand(format!("{}:1", servers[0].at))
        .control(host.at())
        .expect("no server available")
        .start();
    let first = pen.asker();
    assert_eq!(first.letter(), "A");
    let second = pen.asker();
    second.send("too many");
    pen.says("no server available");
    assert_eq!(first.letter(), "A");
    assert_eq!(servers[0].count(), 2);
    pen.ask("server 0 max 2");
    assert_eq!(second.letter(), "A");
}

#[test]
fn denied_clients_go_to_the_abuse_server() {
    let host = Host::new();
    let servers = responders(&host, 1);
    let abuse = Responder::letter(host.at(), 'Z');
    let pen = Starter::datagrams(&host)
        .args(["-B", &abuse.at.to_string(), "-O", "acl 3 deny 127.0.0.2"])
        .args(["-O", "acl 3 deny 127.0.0.5", "-O", "client_acl 3"])
        .servers(&servers)
        .start();
    assert_eq!(numbers(&pen, [2, 3, 2, 4, 5]), "ZAZAZ");
    assert_eq!((servers[0].count(), abuse.count()), (2, 3));
}

#[test]
fn without_an_abuse_server_they_are_not_heard() {
    better!(DENIED);
    let host = Host::new();
    let servers = responders(&host, 1);
    let emergency = Responder::letter(host.at(), 'E');
    let pen = Starter::datagrams(&host)
        .args(["-e", &emergency.at.to_string()])
        .args(["-O", "acl 3 deny 127.0.0.2", "-O", "client_acl 3"])
        .servers(&servers)
        .control(host.at())
        .expect("denied by the access list")
        .start();
    let denied = Asker::number(2, &pen.at);
    for _ in 0..10 {
        denied.send("hello");
    }
    pen.says("denied by the access list");
    // Whoever comes behind has what went before behind him.
    assert_eq!(pen.asker().letter(), "A");
    assert_eq!((servers[0].count(), emergency.count()), (1, 0));
    assert_eq!(pen.load(0), 1);
}

/// A client that never changes its port, in front of servers that never
/// answer: what syslog is. Sends so many messages, no more at a time than
/// sockets hold; the bytes of all that have come.
fn messages(pen: &Pen, servers: &[Responder], count: usize) -> Vec<usize> {
    let before: usize = servers.iter().map(Responder::count).sum();
    let counts = || -> Vec<usize> { servers.iter().map(Responder::count).collect() };
    let client = pen.asker();
    for number in 0..count {
        client.send(format!("<13>message {number}"));
        if number % 100 == 99 || number == count - 1 {
            wait_until("all have come", || counts().iter().sum::<usize>() == before + number + 1);
        }
    }
    counts()
}

fn silent(host: &Host, count: usize) -> Vec<Responder> {
    (0..count).map(|_| Responder::silent(host.at())).collect()
}

#[test]
fn one_source_port_and_two_servers_of_a_log() {
    better!(UDP_BALANCE);
    const COUNT: usize = 10_000;
    let host = Host::new();
    let servers = silent(&host, 2);
    let pen = Starter::datagrams(&host)
        .args(["-r", "-O", "udp_balance datagram"])
        .servers(&servers)
        .control(host.at())
        .start();
    assert_eq!(pen.ask("udp_balance"), "datagram\n");
    assert_eq!(messages(&pen, &servers, COUNT), [COUNT / 2, COUNT / 2]);
    // None twice, none changed.
    let mut heard: Vec<_> = servers.iter().flat_map(Responder::heard).collect();
    heard.sort_by_key(|(_, data)| (data.len(), data.clone()));
    for (number, (_, data)) in heard.iter().enumerate() {
        assert_eq!(*data, format!("<13>message {number}").into_bytes());
    }
    // One flow for the client and each server.
    assert!(servers.iter().all(|server| server.peers().len() == 1));
    assert_eq!((pen.load(0), pen.load(1)), (1, 1));
    // One at rest gets nothing.
    pen.ask("server 1 blacklist 1000");
    assert_eq!(messages(&pen, &servers, 100), [COUNT / 2 + 100, COUNT / 2]);
    pen.ask("server 1 blacklist 0");
    let after = messages(&pen, &servers, 100);
    assert_eq!(after, [COUNT / 2 + 150, COUNT / 2 + 50]);
}

#[test]
fn datagrams_by_weight() {
    better!(UDP_BALANCE);
    let host = Host::new();
    let servers = silent(&host, 3);
    let mut starter = Starter::datagrams(&host).args(["-rW", "-O", "udp_balance datagram"]);
    for (server, weight) in servers.iter().zip([1, 3, 0]) {
        starter = starter.operand(format!("{}:0:0:{weight}", server.at));
    }
    let pen = starter.control(host.at()).start();
    let counts = messages(&pen, &servers, 800);
    assert_eq!(counts, [200, 600, 0]);
}

#[test]
fn answers_to_balanced_datagrams() {
    better!(UDP_BALANCE);
    let host = Host::new();
    let servers = responders(&host, 3);
    let pen = Starter::datagrams(&host).args(["-r"]).servers(&servers).control(host.at()).start();
    assert_eq!(pen.ask("udp_balance"), "flow\n");
    let client = pen.asker();
    assert_eq!(client.letters(2), "BB");
    pen.ask("udp_balance datagram");
    let round = client.letters(6);
    assert!("ABCABCABC".contains(&round), "{round}");
    // It takes -r: without, a client has a server.
    assert_eq!(pen.ask("no roundrobin"), "");
    let letters = client.letters(4);
    assert_eq!(letters, letters[..1].repeat(4));
    assert_eq!(pen.ask("roundrobin"), "");
    let round = client.letters(6);
    assert!("ABCABCABC".contains(&round), "{round}");
    pen.ask("udp_balance flow");
    let letters = client.letters(4);
    assert_eq!(letters, letters[..1].repeat(4));
    let reply = pen.ask("udp_balance sideways");
    assert!(reply.starts_with("udp_balance: "), "{reply}");
    assert_eq!(reply.lines().count(), 1);
    assert_eq!(pen.ask("udp_balance"), "flow\n");
}
