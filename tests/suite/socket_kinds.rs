//! Unix sockets and IPv6 on either side, the source address, and the built-in
//! page.

use crate::differences::{MAPPED, SOURCE, UNIX_CLIENTS};
use crate::stand::{At, Backend, Client, Host, PATIENCE, Starter, better, free_v6, worse};
use std::net::Ipv4Addr;
use std::sync::mpsc;

/// Says the letter and then sends lines back and forth.
fn talks(client: &Client) {
    assert_eq!(client.letter(), "A");
    client.send("one\ntwo\n");
    assert_eq!(client.receive(2), b"AA");
    client.end_sending();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_unix_socket_for_clients() {
    let starter = Starter::unix();
    let [a, b] = ['A', 'B'].map(|letter| Backend::letter(starter.host.at(), letter));
    let pen = starter.args(["-r"]).server(&b.at).server(&a.at).control().start();
    talks(&pen.connect());
    // All who come this way are one client.
    assert_eq!(pen.ask("no roundrobin"), "");
    let first = pen.letter();
    assert_eq!(pen.letters(3), first.repeat(3));
    if !better(&UNIX_CLIENTS) {
        assert!(pen.ask("recent").starts_with("unix connects 5 "));
    }
}

#[test]
fn unix_sockets_and_ipv6_for_servers() {
    let host = Host::new();
    let unix = host.unix("server.sock");
    for (at, shown) in [(Some(unix.clone()), unix.to_string()), (free_v6(), "::1".to_owned())] {
        let Some(at) = at else { continue };
        let port = if let At::Inet(addr) = at { addr.port() } else { 1 };
        let server = Backend::letter(at, 'A');
        let pen = Starter::new().control().server(&server.at).start();
        talks(&pen.connect());
        let list = pen.ask("servers");
        assert!(list.starts_with(&format!("0 addr {shown} port {port} conn ")), "{list}");
    }
    let server = Backend::letter(unix, 'A');
    talks(&Starter::unix().server(&server.at).start().connect());
}

#[test]
fn a_unix_server_that_is_not_there_is_passed_over() {
    let starter = Starter::new().letters(1);
    let nothing = starter.host.unix("nothing.sock");
    let pen = starter.server(&nothing).expect("nothing.sock) is down, next try in 30 s").start();
    assert_eq!(pen.letter(), "A");
}

#[test]
fn ipv6_for_clients() {
    let Some(at) = free_v6() else { return };
    // The last colon splits, so that no brackets are needed.
    let word = format!("::1:{}", at.inet().port());
    let pen = Starter::at(at).listen_word(word).letters(1).control().start();
    talks(&pen.connect());
    let table = pen.ask("recent");
    assert!(table.starts_with("::1 connects 1 "), "{table}");
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
    let Some(at) = free_v6() else { return };
    let port = at.inet().port();
    let pen = Starter::at(at)
        .listen_word(format!(":::{port}"))
        .args(["-O", "acl 0 permit 127.0.0.0/8"])
        .letters(1)
        .control()
        .start();
    talks(&Client::new(&At::Inet((Ipv4Addr::LOCALHOST, port).into())));
    let table = pen.ask("recent");
    let shown = if worse(&MAPPED) { "::ffff:" } else { "" };
    let wanted = format!("{shown}127.0.0.1 connects 1 ");
    assert!(table.starts_with(&wanted), "{table}");
}

#[test]
fn servers_see_the_source_address() {
    let (report, reported) = mpsc::channel();
    let starter = Starter::new().args(["-O", "source 127.0.0.9"]);
    let pen = starter.serve(move |stream| drop(report.send(stream.peer_addr()))).start();
    assert!(pen.connect().ends());
    let peer = reported.recv_timeout(PATIENCE).unwrap().unwrap();
    assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 9));
}

#[test]
fn a_source_address_that_is_not_here_blames_no_server() {
    // TEST-NET-3, nobody's address (RFC 5737).
    let pen = Starter::new()
        .args(["-O", "source 203.0.113.1"])
        .letters(1)
        .control()
        .expect("cannot connect to server 0")
        .expect("no server available")
        .start();
    assert_eq!(pen.letter(), if worse(&SOURCE) { "A" } else { "" });
    assert_eq!(pen.ask("source 0.0.0.0"), "");
    assert_eq!(pen.letter(), "A");
}

#[test]
fn the_built_in_page() {
    better!(DUMMY);
    // No servers at all.
    let pen = Starter::new().args(["-O", "dummy"]).start();
    for _ in 0..3 {
        let client = pen.connect();
        client.send("GET / HTTP/1.0\r\nHost: h\r\n\r\n");
        let answer = String::from_utf8(client.rest()).unwrap();
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.0 200 "), "{head}");
        let length = format!("Content-Length: {}", body.len());
        assert!(head.lines().any(|line| line == length), "{head}");
    }
}
