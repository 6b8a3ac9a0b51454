//! UDP (`-U`): flows, what they carry, how they end.

use crate::differences::UDP_KINDS;
use crate::stand::{Held, LONGEST, Starter, better, is_c_pen, pattern, wait_until};
use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

#[test]
fn answers_come_back() {
    let pen = Starter::new().udp().echo().start();
    let (x, y) = (pen.asker(), pen.asker());
    for text in ["one", "two\nlines", "three"] {
        assert_eq!(x.ask(text), text);
        assert_eq!(y.ask(text), text);
    }
    // One socket each towards the server.
    assert_eq!(pen.servers[0].peers().len(), 2);
}

#[test]
fn a_server_may_answer_often_and_late() {
    let (starter, server) = Starter::new().udp().by_hand();
    let pen = starter.start();
    let (x, y) = (pen.asker(), pen.asker());
    let mut buffer = [0; 10];
    let mut peers = Vec::new();
    for client in [&x, &y] {
        client.send("hello");
        let (count, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"hello");
        peers.push(from);
    }
    for number in 0..20_u8 {
        server.send_to(&[number, b'y'], peers[1]).unwrap();
        server.send_to(&[number, b'x'], peers[0]).unwrap();
    }
    for number in 0..20 {
        assert_eq!(x.receive(), [number, b'x']);
        assert_eq!(y.receive(), [number, b'y']);
    }
}

#[test]
fn empty_datagrams_go_through_and_end_nothing() {
    better!(UDP_KINDS);
    let pen = Starter::new().udp().echo().start();
    let client = pen.asker();
    for text in ["", "a", "", "", "b"] {
        assert_eq!(client.ask(text), text);
    }
    assert_eq!(pen.servers[0].peers().len(), 1);
    assert_eq!(pen.servers[0].count(), 5);
}

#[test]
fn the_longest_datagrams_go_through() {
    let pen = Starter::new().udp().echo().start();
    let client = pen.asker();
    for (number, length) in [1, 1472, 1473, 9000, 65_000, LONGEST].into_iter().enumerate() {
        if length > 9000 && better(&UDP_KINDS) {
            return;
        }
        let data = pattern(number, 0, length);
        client.send(data);
        assert!(client.receive() == data, "{length} bytes");
    }
}

/// The letters of the servers that these have now.
fn again(held: &[Held]) -> String {
    held.iter().map(Held::again).collect()
}

#[test]
fn a_flow_keeps_its_server() {
    let pen = Starter::new().udp().args(["-r"]).letters(3).start();
    let (held, letters) = pen.hold_all(4);
    assert_eq!(letters, "BCAB");
    for _ in 0..4 {
        assert_eq!(again(&held), letters);
    }
}

#[test]
fn bytes_are_counted() {
    better!(UDP_KINDS);
    let pen = Starter::new().udp().letters(1).control().start();
    let client = pen.asker();
    for text in ["hello", "", "you"] {
        assert_eq!(client.ask(text), format!("A{text}"));
    }
    assert_eq!(pen.asker().ask("another"), "Aanother");
    wait_until("the bytes are counted", || pen.server_list().ends_with(" sx 15 rx 19\n"));
    let table = pen.ask("recent");
    assert_eq!(table, "127.0.0.1 connects 2 sx 19 rx 15\n");
}

#[test]
fn flows_count_as_connections() {
    let pen = Starter::new().udp().args(["-r"]).letters(2).control().start();
    let (held, letters) = pen.hold_all(3);
    assert_eq!([letters, again(&held)], ["BAB"; 2]);
    assert_eq!((pen.load(0), pen.load(1)), (1, 2));
    let shown = pen.ask("connection 0");
    assert!(shown.contains("\nclient = 0, server = 1\n"), "{shown}");
    assert!(is_c_pen() || shown.contains("\nstate = 2\n"), "{shown}");
    // A flow that is closed begins anew, where it is the next one's turn.
    assert_eq!(pen.ask("close 0"), "Forcibly closing connection 0\n");
    wait_until("it is gone", || (pen.load(0), pen.load(1)) == (1, 1));
    assert_eq!(again(&held), "AAB");
    assert_eq!((pen.load(0), pen.load(1)), (2, 1));
    let page = pen.ask("status");
    assert!(is_c_pen() || page.contains("127.0.0.1"), "{page}");
}

#[test]
fn traffic_one_way_keeps_a_flow() {
    let (starter, server) = Starter::new().udp().by_hand();
    let pen = starter.args(["-O", "idle_timeout 2"]).control().start();
    let hear = |text: &str| {
        let mut buffer = [0; 10];
        let (count, from) = server.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], text.as_bytes());
        from
    };
    let (talker, listener, quiet) = (pen.asker(), pen.asker(), pen.asker());
    let [talks, listens, _] = [&talker, &listener, &quiet].map(|client| {
        client.send("hello");
        hear("hello")
    });
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        talker.send("more");
        assert_eq!(hear("more"), talks);
        server.send_to(b"news", listens).unwrap();
        assert_eq!(listener.receive(), b"news");
        // The pace of the traffic, not a wait for anything.
        std::thread::sleep(Duration::from_millis(100));
    }
    listener.send("bye");
    assert_eq!(hear("bye"), listens);
    assert_eq!(pen.load(0), 2);
}

#[test]
fn servers_see_the_source_address() {
    better!(UDP_KINDS);
    let pen = Starter::new().udp().args(["-O", "source 127.0.0.9"]).echo().start();
    for client in [pen.asker(), pen.asker()] {
        assert_eq!(client.ask("hello"), "hello");
    }
    let peers = pen.servers[0].peers();
    assert_eq!(peers.len(), 2);
    let source = Ipv4Addr::new(127, 0, 0, 9);
    assert!(peers.iter().all(|peer| peer.ip() == source), "{peers:?}");
}

#[test]
fn what_sends_back_an_icmp_error_is_no_trouble() {
    let pen = Starter::new().udp().echo().start();
    let stays = pen.asker();
    for _ in 0..20 {
        // Its answers come when it has gone.
        pen.asker().send("hello");
        assert_eq!(stays.ask("hello"), "hello");
    }
    wait_until("all have been heard", || pen.servers[0].count() == 40);
    assert_eq!(stays.ask("hello"), "hello");
}
