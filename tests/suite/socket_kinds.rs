//! Unix sockets and IPv6 on either side, the source address, and the built-in
//! page.

use crate::differences::{MAPPED, SOURCE, UNIX_CLIENTS};
use crate::stand::{
    At, Backend, Client, Dir, Host, PATIENCE, Starter, better, free_v6, letters, skipped, worse,
};
use std::net::{Ipv4Addr, SocketAddr};
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
    let (host, dir) = (Host::new(), Dir::new());
    let servers = letters(&host, 2);
    let pen = Starter::at(At::Unix(dir.file("pen.sock")))
        .args(["-r"])
        .server(&servers[1].at)
        .server(&servers[0].at)
        .control(host.at())
        .start();
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
fn a_unix_socket_for_a_server() {
    let (host, dir) = (Host::new(), Dir::new());
    let server = Backend::letter(At::Unix(dir.file("server.sock")), 'A');
    let starter = Starter::new(&host).control(host.at());
    let pen = starter.server(&server.at).start();
    talks(&pen.connect());
    let list = pen.ask("servers");
    let wanted = format!("0 addr {} port 1 conn ", server.at);
    assert!(list.starts_with(&wanted), "{list}");
}

#[test]
fn unix_sockets_on_both_sides() {
    let dir = Dir::new();
    let server = Backend::letter(At::Unix(dir.file("server.sock")), 'A');
    let pen = Starter::at(At::Unix(dir.file("pen.sock")));
    talks(&pen.server(&server.at).start().connect());
}

#[test]
fn a_unix_server_that_is_not_there_is_passed_over() {
    let (host, dir) = (Host::new(), Dir::new());
    let servers = letters(&host, 1);
    let pen = Starter::new(&host)
        .servers(&servers)
        .operand(dir.file("nothing.sock").display().to_string())
        .expect("nothing.sock) is down for 30 s")
        .start();
    assert_eq!(pen.letter(), "A");
}

#[test]
fn ipv6_for_clients() {
    let Some(at) = free_v6() else {
        return skipped("no IPv6 here");
    };
    let host = Host::new();
    let servers = letters(&host, 1);
    // The last colon splits, so that no brackets are needed.
    let word = format!("::1:{}", at.inet().port());
    let pen = Starter::at(at).listen_word(word).servers(&servers).control(host.at()).start();
    talks(&pen.connect());
    let table = pen.ask("recent");
    assert!(table.starts_with("::1 connects 1 "), "{table}");
}

#[test]
fn ipv6_for_a_server() {
    let Some(at) = free_v6() else {
        return skipped("no IPv6 here");
    };
    let host = Host::new();
    let server = Backend::letter(at, 'A');
    let starter = Starter::new(&host).control(host.at());
    let pen = starter.server(&server.at).start();
    talks(&pen.connect());
    let list = pen.ask("servers");
    let wanted = format!("0 addr ::1 port {} conn ", server.at.inet().port());
    assert!(list.starts_with(&wanted), "{list}");
}

#[test]
fn an_ipv4_client_of_an_ipv6_socket_is_an_ipv4_client() {
    let Some(at) = free_v6() else {
        return skipped("no IPv6 here");
    };
    let port = at.inet().port();
    let host = Host::new();
    let servers = letters(&host, 1);
    let pen = Starter::at(at)
        .listen_word(format!(":::{port}"))
        .args(["-O", "acl 0 permit 127.0.0.0/8"])
        .servers(&servers)
        .control(host.at())
        .start();
    talks(&Client::new(&At::Inet((Ipv4Addr::LOCALHOST, port).into())));
    let table = pen.ask("recent");
    let shown = if worse(&MAPPED) { "::ffff:" } else { "" };
    let wanted = format!("{shown}127.0.0.1 connects 1 ");
    assert!(table.starts_with(&wanted), "{table}");
}

#[test]
fn servers_see_the_source_address() {
    let host = Host::new();
    let (report, reported) = mpsc::channel();
    let server = Backend::start(host.at(), move |stream| {
        let _ = report.send(stream.peer_addr().unwrap());
    });
    let pen = Starter::new(&host).args(["-O", "source 127.0.0.9"]).server(&server.at).start();
    assert!(pen.connect().ends());
    let peer: SocketAddr = reported.recv_timeout(PATIENCE).unwrap();
    assert_eq!(peer.ip(), Ipv4Addr::new(127, 0, 0, 9));
}

#[test]
fn a_source_address_that_is_not_here_blames_no_server() {
    let host = Host::new();
    let servers = letters(&host, 1);
    // TEST-NET-3, nobody's address (RFC 5737).
    let pen = Starter::new(&host)
        .args(["-O", "source 203.0.113.1"])
        .servers(&servers)
        .control(host.at())
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
    let host = Host::new();
    // No servers at all.
    let pen = Starter::new(&host).args(["-O", "dummy"]).start();
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
