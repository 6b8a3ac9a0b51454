//! `transparent`: servers see the clients' own addresses.
//!
//! Three network namespaces in a row, for the client, pen and the server; pen
//! is the server's way to everywhere. The client is another pen, as is the server
//! of connections: its other side is a Unix socket, which is reached from any
//! namespace. The server of datagrams is a real one.

use crate::stand::{
    Asker, At, Backend, Client, Dir, NameServer, Pen, Place, Starter, answer, better, ip, is_root,
    letters, query, refused, skipped, wait_until,
};
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// The namespaces, removed when this goes.
struct Net {
    client: String,
    pen: String,
    server: String,
}

impl Net {
    /// `None`, said aloud, where they are not allowed.
    fn new() -> Option<Net> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Relaxed);
        let name = |role| format!("pen-suite-{}-{count}-{role}", std::process::id());
        // Made first, so that what comes to exist is removed whatever happens.
        let net = Net { client: name("client"), pen: name("pen"), server: name("server") };
        for name in net.names() {
            let made = ip(&format!("netns add {name}"));
            if let Err(e) = made.and_then(|()| ip(&format!("netns exec {name} true"))) {
                skipped(&e);
                return None;
            }
        }
        let Net { client, pen, server } = &net;
        let link = format!("-n {client} link add eth0 type veth peer name near netns {pen}");
        if let Err(e) = ip(&link) {
            // Not every kernel has them.
            skipped(&e);
            return None;
        }
        for line in [
            format!("-n {server} link add eth0 type veth peer name far netns {pen}"),
            format!("-n {client} addr add 10.99.1.2/24 dev eth0"),
            format!("-n {client} addr add 10.99.1.3/24 dev eth0"),
            format!("-n {pen} addr add 10.99.1.1/24 dev near"),
            format!("-n {pen} addr add 10.99.2.1/24 dev far"),
            format!("-n {server} addr add 10.99.2.2/24 dev eth0"),
            format!("-n {client} link set eth0 up"),
            format!("-n {pen} link set near up"),
            format!("-n {pen} link set far up"),
            format!("-n {pen} link set lo up"),
            format!("-n {server} link set eth0 up"),
            // The server answers by way of pen's host, which takes the answers
            // for itself instead of passing them on.
            format!("-n {server} route add default via 10.99.2.1"),
            format!("-n {pen} rule add iif far lookup 100"),
            format!("-n {pen} route add local default dev lo table 100"),
        ] {
            ip(&line).unwrap();
        }
        Some(net)
    }

    fn names(&self) -> [&str; 3] {
        [&self.client, &self.pen, &self.server]
    }
}

impl Drop for Net {
    fn drop(&mut self) {
        for name in self.names() {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

/// A pen in one of the namespaces.
fn pen(dir: &Dir, namespace: &str, at: &At, to: &At, args: &[&str]) -> Starter {
    let control = dir.file(&format!("{namespace}.control"));
    Starter::at(at.clone()).inside(namespace).args(args).control(At::Unix(control)).server(to)
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
        Row {
            tested: pen(dir, &net.pen, &near, server, &transparent).start(),
            client: pen(dir, &net.client, &At::Unix(dir.file("way")), &near, args).ours().start(),
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

fn net() -> Option<Net> {
    if !is_root() {
        skipped("only root makes network namespaces");
        return None;
    }
    Net::new()
}

#[test]
fn connections_come_from_the_client() {
    let Some(net) = net() else { return };
    let dir = Dir::new();
    let letter = Backend::letter(At::Unix(dir.file("letter")), 'A');
    let far = At::Inet("10.99.2.2:9000".parse().unwrap());
    let server = pen(&dir, &net.server, &far, &letter.at, &[]).ours().start();
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
    let Some(net) = net() else { return };
    let dir = Dir::new();
    let far = At::Inet("10.99.2.2:9000".parse().unwrap());
    let known = Ipv4Addr::new(192, 0, 2, 1);
    let Some(server) = NameServer::inside(&net.server, far.clone(), known) else { return };
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
    let place = Place::new();
    let servers = letters(&place, 1);
    let user: &[&str] = if is_root() { &["-u", "nobody"] } else { &[] };
    let starter = Starter::new(&place).servers(&servers).args(user);
    let pen = starter.control(place.at());
    // The last one of `-u` counts.
    let pen = pen.args(user).start();
    let reply = pen.ask("transparent");
    assert!(reply.starts_with("transparent: "), "{reply}");
    assert_eq!(reply.lines().count(), 1, "{reply}");
    // It changes nothing.
    assert_eq!(pen.letter(), "A");
    let words = ["-O", "transparent", &place.at().to_string(), "127.0.0.1:9"];
    refused(&[user, &words].concat(), &["transparent"]);
}
