//! `transparent`: servers see the clients' own addresses.
//!
//! Three network namespaces in a row, for the client, pen and the server; pen
//! is the server's way to everywhere. The client is another pen, as is the server
//! of connections: its other side is a Unix socket, which is reached from any
//! namespace. The server of datagrams is a real one.

use crate::stand::{
    Asker, At, Backend, Client, Dir, Host, NameServer, Namespace, Pen, Starter, answer, better,
    is_root, query, refused, wait_until,
};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

struct Net {
    client: Namespace,
    pen: Namespace,
    server: Namespace,
}

impl Net {
    /// `None`, said aloud, where they are not allowed.
    fn new() -> Option<Net> {
        let net =
            Net { client: Namespace::new()?, pen: Namespace::new()?, server: Namespace::new()? };
        let Net { client, pen, server } = &net;
        client.join("eth0", pen, "near")?;
        server.join("eth0", pen, "far")?;
        client.address("eth0", "10.99.1.2/24");
        client.address("eth0", "10.99.1.3/24");
        pen.address("near", "10.99.1.1/24");
        pen.address("far", "10.99.2.1/24");
        server.address("eth0", "10.99.2.2/24");
        // The server answers by way of pen's host, which takes the answers
        // for itself instead of passing them on.
        server.ip("route add default via 10.99.2.1");
        pen.ip("rule add iif far lookup 100");
        pen.ip("route add local default dev lo table 100");
        Some(net)
    }
}

/// The pen that is tested, and the one that makes its clients.
struct Row {
    client: Pen,
    tested: Pen,
}

impl Row {
    fn start(net: &Net, dir: &Dir, args: &[&str], server: &At) -> Row {
        let near = At::Inet("10.99.1.1:8000".parse().unwrap());
        let transparent = [args, &["-O", "transparent"]].concat();
        let way = At::Unix(dir.file("way"));
        Row {
            tested: net.pen.pen(dir, near.clone(), server).args(&transparent).start(),
            client: net.client.pen(dir, way, &near).args(args).ours().start(),
        }
    }

    /// Asks once from each of some addresses; the server must see the same.
    fn shows_the_clients(&self, ask: impl Fn(&At), seen: impl Fn(&str) -> usize) {
        let counts = || ["10.99.1.2", "10.99.1.3", "10.99.2.1"].map(&seen);
        ask(&self.client.at);
        wait_until("the first client is seen", || counts() == [1, 0, 0]);
        self.client.ask("source 10.99.1.3");
        ask(&self.client.at);
        wait_until("the second client is seen", || counts() == [1, 1, 0]);
        self.tested.ask("no transparent");
        ask(&self.client.at);
        wait_until("pen is seen", || counts() == [1, 1, 1]);
        self.tested.ask("transparent");
        ask(&self.client.at);
        wait_until("the second client is seen again", || counts() == [1, 2, 1]);
    }
}

#[test]
fn connections_come_from_the_client() {
    let Some(net) = Net::new() else { return };
    let dir = Dir::new();
    let letter = Backend::letter(At::Unix(dir.file("letter")), 'A');
    let far = At::Inet("10.99.2.2:9000".parse().unwrap());
    let server = net.server.pen(&dir, far.clone(), &letter.at).ours().start();
    let row = Row::start(&net, &dir, &[], &far);
    row.shows_the_clients(
        |at| {
            let client = Client::new(at);
            assert_eq!(client.letter(), "A");
            client.send("more\n");
            assert_eq!(client.letter(), "A");
        },
        |address| {
            let table = server.ask("recent");
            let mut lines = table.lines().map(|line| line.split(' '));
            let line = lines.find(|words| words.clone().next() == Some(address));
            line.map_or(0, |mut words| words.nth(2).unwrap().parse().unwrap())
        },
    );
}

#[test]
fn datagrams_come_from_the_client() {
    let Some(net) = Net::new() else { return };
    let dir = Dir::new();
    let far = At::Inet("10.99.2.2:9000".parse().unwrap());
    let known = Ipv4Addr::new(192, 0, 2, 1);
    let Some(server) = NameServer::inside(&net.server.name, far.clone(), known) else { return };
    let row = Row::start(&net, &dir, &["-U"], &far);
    let count = AtomicU32::new(0);
    row.shows_the_clients(
        |at| {
            let At::Unix(path) = at else { panic!("{at}") };
            let own = dir.file(&count.fetch_add(1, Relaxed).to_string());
            let client = Asker::unix(&own, path);
            client.send(query(7));
            assert_eq!(answer(&client.receive()), (7, known));
        },
        |address| server.queries_from(address),
    );
}

#[test]
fn without_the_right_it_is_refused() {
    better!(TRANSPARENT);
    let host = Host::new();
    let user: &[&str] = if is_root() { &["-u", "nobody"] } else { &[] };
    let pen = Starter::on(&host).letters(1).args(user).control();
    // The last one of `-u` counts.
    let pen = pen.args(user).start();
    let reply = pen.ask("transparent");
    assert!(reply.starts_with("transparent: "), "{reply}");
    assert_eq!(reply.lines().count(), 1, "{reply}");
    // It changes nothing.
    assert_eq!(pen.letter(), "A");
    let words = ["-O", "transparent", &host.at().to_string(), "127.0.0.1:9"];
    refused(&[user, &words].concat(), &["transparent"]);
}
