//! UDP (`-U`): which server a flow gets, and with `udp_balance datagram`, each
//! datagram. What TCP does as well is in [`crate::transports`].

use crate::stand::{Asker, Pen, Responder, Server, Starter, better, wait_until};

#[test]
fn without_room_anywhere_a_datagram_goes_nowhere() {
    let starter = Starter::new().udp().letters_with([":1"]).control();
    let pen = starter.expect("no server available").start();
    let first = pen.asker();
    assert_eq!(first.letter(), "A");
    let second = pen.asker();
    second.send("too many");
    pen.says("no server available");
    assert_eq!(first.letter(), "A");
    assert_eq!(pen.servers[0].count(), 2);
    pen.ask("server 0 max 2");
    assert_eq!(second.letter(), "A");
}

#[test]
fn without_an_abuse_server_they_are_not_heard() {
    better!(DENIED);
    let starter = Starter::new().udp().letters(1).beside("-e", 'E').control();
    let denied = ["-O", "acl 3 deny 127.0.0.2", "-O", "client_acl 3"];
    let pen = starter.args(denied).expect("denied by the access list").start();
    let denied = Asker::number(2, &pen.at);
    for _ in 0..10 {
        denied.send("hello");
    }
    pen.says("denied by the access list");
    // Whoever comes behind has what went before behind him.
    assert_eq!(pen.letter(), "A");
    assert_eq!((pen.servers[0].count(), pen.beside[0].count()), (1, 0));
    assert_eq!(pen.load(0), 1);
}

/// A pen that balances datagrams.
fn balancing() -> Starter {
    Starter::new().udp().args(["-r", "-O", "udp_balance datagram"]).control()
}

/// A client that never changes its port, in front of servers that never
/// answer: what syslog is. Sends so many messages, no more at a time than
/// sockets hold; the counts of all that have come.
fn messages(pen: &Pen, count: usize) -> Vec<usize> {
    let counts = || -> Vec<usize> { pen.servers.iter().map(Server::count).collect() };
    let before: usize = counts().iter().sum();
    let client = pen.asker();
    for number in 0..count {
        client.send(format!("<13>message {number}"));
        if number % 100 == 99 || number == count - 1 {
            wait_until("all have come", || counts().iter().sum::<usize>() == before + number + 1);
        }
    }
    counts()
}

#[test]
fn one_source_port_and_two_servers_of_a_log() {
    better!(UDP_BALANCE);
    const COUNT: usize = 10_000;
    let starter = balancing();
    let [one, two] = [(); 2].map(|()| Responder::silent(starter.host.at()));
    let pen = starter.serving(one).serving(two).start();
    assert_eq!(pen.ask("udp_balance"), "datagram\n");
    assert_eq!(messages(&pen, COUNT), [COUNT / 2, COUNT / 2]);
    // None twice, none changed.
    let mut heard: Vec<_> = pen.servers.iter().flat_map(Server::heard).collect();
    heard.sort_by_key(|(_, data)| (data.len(), data.clone()));
    for (number, (_, data)) in heard.iter().enumerate() {
        assert_eq!(*data, format!("<13>message {number}").into_bytes());
    }
    // One flow for the client and each server.
    assert!(pen.servers.iter().all(|server| server.peers().len() == 1));
    assert_eq!((pen.load(0), pen.load(1)), (1, 1));
    // One at rest gets nothing.
    pen.ask("server 1 blacklist 1000");
    assert_eq!(messages(&pen, 100), [COUNT / 2 + 100, COUNT / 2]);
    pen.ask("server 1 blacklist 0");
    assert_eq!(messages(&pen, 100), [COUNT / 2 + 150, COUNT / 2 + 50]);
}

#[test]
fn datagrams_by_weight() {
    better!(UDP_BALANCE);
    let pen = balancing().args(["-W"]).letters_with([":0:0:1", ":0:0:3", ":0:0:0"]).start();
    assert_eq!(messages(&pen, 800), [200, 600, 0]);
}

#[test]
fn answers_to_balanced_datagrams() {
    better!(UDP_BALANCE);
    let pen = Starter::new().udp().args(["-r"]).letters(3).control().start();
    assert_eq!(pen.ask("udp_balance"), "flow\n");
    let client = pen.asker();
    let stays = || {
        let letters = client.letters(4);
        assert_eq!(letters, letters[..1].repeat(4));
    };
    let goes_round = || {
        let round = client.letters(6);
        assert!("ABCABCABC".contains(&round), "{round}");
    };
    assert_eq!(client.letters(2), "BB");
    pen.ask("udp_balance datagram");
    goes_round();
    // It takes -r: without, a client has a server.
    assert_eq!(pen.ask("no roundrobin"), "");
    stays();
    assert_eq!(pen.ask("roundrobin"), "");
    goes_round();
    pen.ask("udp_balance flow");
    stays();
    let reply = pen.ask("udp_balance sideways");
    assert!(reply.starts_with("udp_balance: ") && reply.lines().count() == 1, "{reply}");
    assert_eq!(pen.ask("udp_balance"), "flow\n");
}
