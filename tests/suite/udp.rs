//! UDP (`-U`): flows, what they carry, how they end.

use crate::differences::UDP_KINDS;
use crate::stand::{
    Asker, At, Host, LONGEST, PATIENCE, Responder, Starter, better, is_c_pen, pattern, responders,
    wait_until,
};
use std::net::{Ipv4Addr, UdpSocket};
use std::time::{Duration, Instant};

#[test]
fn answers_come_back() {
    let host = Host::new();
    let server = Responder::echo(host.at());
    let pen = Starter::datagrams(&host).server(&server.at).start();
    let (x, y) = (pen.asker(), pen.asker());
    for text in ["one", "two\nlines", "three"] {
        assert_eq!(x.ask(text), text);
        assert_eq!(y.ask(text), text);
    }
    // One socket each towards the server.
    assert_eq!(server.peers().len(), 2);
}

#[test]
fn a_server_may_answer_often_and_late() {
    let host = Host::new();
    let server = UdpSocket::bind(host.addr()).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let pen = Starter::datagrams(&host).server(&At::Inet(server.local_addr().unwrap())).start();
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
    let host = Host::new();
    let server = Responder::echo(host.at());
    let pen = Starter::datagrams(&host).server(&server.at).start();
    let client = pen.asker();
    for text in ["", "a", "", "", "b"] {
        assert_eq!(client.ask(text), text);
    }
    assert_eq!(server.peers().len(), 1);
    assert_eq!(server.count(), 5);
}

#[test]
fn the_longest_datagrams_go_through() {
    let host = Host::new();
    let server = Responder::echo(host.at());
    let pen = Starter::datagrams(&host).server(&server.at).start();
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

#[test]
fn a_flow_keeps_its_server() {
    let host = Host::new();
    let servers = responders(&host, 3);
    let pen = Starter::datagrams(&host).args(["-r"]).servers(&servers).start();
    let clients: Vec<Asker> = (0..4).map(|_| pen.asker()).collect();
    for _ in 0..5 {
        let round: String = clients.iter().map(Asker::letter).collect();
        assert_eq!(round, "BCAB");
    }
}

#[test]
fn bytes_are_counted() {
    better!(UDP_KINDS);
    let host = Host::new();
    let servers = responders(&host, 1);
    let starter = Starter::datagrams(&host).servers(&servers);
    let pen = starter.control(host.at()).start();
    let client = pen.asker();
    for text in ["hello", "", "you"] {
        assert_eq!(client.ask(text), format!("A{text}"));
    }
    assert_eq!(pen.asker().ask("another"), "Aanother");
    wait_until("the bytes are counted", || pen.servers().ends_with(" sx 15 rx 19\n"));
    let table = pen.ask("recent");
    assert_eq!(table, "127.0.0.1 connects 2 sx 19 rx 15\n");
}

#[test]
fn flows_count_as_connections() {
    let host = Host::new();
    let servers = responders(&host, 2);
    let pen = Starter::datagrams(&host).args(["-r"]).servers(&servers).control(host.at()).start();
    let clients: Vec<Asker> = (0..3).map(|_| pen.asker()).collect();
    for _ in 0..3 {
        let letters: String = clients.iter().map(Asker::letter).collect();
        assert_eq!(letters, "BAB");
    }
    assert_eq!((pen.load(0), pen.load(1)), (1, 2));
    let shown = pen.ask("connection 0");
    assert!(shown.contains("\nclient = 0, server = 1\n"), "{shown}");
    assert!(is_c_pen() || shown.contains("\nstate = 2\n"), "{shown}");
    // A flow that is closed begins anew, where it is the next one's turn.
    assert_eq!(pen.ask("close 0"), "Forcibly closing connection 0\n");
    wait_until("it is gone", || (pen.load(0), pen.load(1)) == (1, 1));
    let letters: String = clients.iter().map(Asker::letter).collect();
    assert_eq!(letters, "AAB");
    assert_eq!((pen.load(0), pen.load(1)), (2, 1));
    let page = pen.ask("status");
    assert!(is_c_pen() || page.contains("127.0.0.1"), "{page}");
}

#[test]
fn a_quiet_flow_ends_after_the_idle_time() {
    better!(UDP_IDLE);
    let host = Host::new();
    let servers = responders(&host, 2);
    let pen = Starter::datagrams(&host)
        .args(["-r", "-O", "idle_timeout 1"])
        .servers(&servers)
        .control(host.at())
        .start();
    let start = Instant::now();
    let client = pen.asker();
    assert_eq!(client.letter(), "B");
    wait_until("the flow ends", || pen.load(1) == 0);
    assert!(start.elapsed() >= Duration::from_millis(900), "too early");
    // Its next datagram is a new flow.
    assert_eq!(client.letter(), "A");
}

#[test]
fn an_idle_time_set_later_counts_for_those_who_are_here() {
    let host = Host::new();
    let servers = responders(&host, 1);
    let starter = Starter::datagrams(&host).servers(&servers);
    let pen = starter.control(host.at()).start();
    assert_eq!(pen.asker().letter(), "A");
    assert_eq!(pen.load(0), 1);
    assert_eq!(pen.ask("idle_timeout 1"), "Idle timeout: 1 seconds\n");
    wait_until("the flow ends", || pen.load(0) == 0);
}

#[test]
fn traffic_one_way_keeps_a_flow() {
    let host = Host::new();
    let server = UdpSocket::bind(host.addr()).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let pen = Starter::datagrams(&host)
        .args(["-O", "idle_timeout 2"])
        .server(&At::Inet(server.local_addr().unwrap()))
        .control(host.at())
        .start();
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
    let host = Host::new();
    let server = Responder::echo(host.at());
    let pen = Starter::datagrams(&host).args(["-O", "source 127.0.0.9"]).server(&server.at).start();
    for client in [pen.asker(), pen.asker()] {
        assert_eq!(client.ask("hello"), "hello");
    }
    let peers = server.peers();
    assert_eq!(peers.len(), 2);
    let source = Ipv4Addr::new(127, 0, 0, 9);
    assert!(peers.iter().all(|peer| peer.ip() == source), "{peers:?}");
}

#[test]
fn what_sends_back_an_icmp_error_is_no_trouble() {
    let host = Host::new();
    let server = Responder::echo(host.at());
    let pen = Starter::datagrams(&host).server(&server.at).start();
    let stays = pen.asker();
    for _ in 0..20 {
        // Its answers come when it has gone.
        pen.asker().send("hello");
        assert_eq!(stays.ask("hello"), "hello");
    }
    wait_until("all have been heard", || server.count() == 40);
    assert_eq!(stays.ask("hello"), "hello");
}
