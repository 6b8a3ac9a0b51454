//! `transparent`: servers see the clients' own addresses.
//!
//! Three network namespaces in a row, for the client, pen and the server; pen
//! is the server's way to everywhere. What the client and the server are is
//! another pen each: its other side is a Unix socket, which is reached from
//! any namespace.

use crate::harness::{
    Asker, At, Backend, Dir, Pen, Place, Responder, Starter, is_root, letters, skip_on_c, skipped,
    wait_until,
};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

/// `ip` with the words of a line; what it says if it fails.
fn ip(line: &str) -> Result<(), String> {
    let output = Command::new("ip").args(line.split(' ')).output();
    let output = output.map_err(|e| format!("ip: {e}"))?;
    match output.status.success() {
        true => Ok(()),
        false => {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(format!("ip {line}: {}", error.trim()))
        }
    }
}

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
        let net = Net {
            client: name("client"),
            pen: name("pen"),
            server: name("server"),
        };
        for name in net.names() {
            let made = ip(&format!("netns add {name}"));
            if let Err(e) = made.and_then(|()| ip(&format!("netns exec {name} true"))) {
                skipped(&e);
                return None;
            }
        }
        let Net {
            client,
            pen,
            server,
        } = &net;
        for line in [
            format!("-n {client} link add eth0 type veth peer name near netns {pen}"),
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

/// The three pens, with the same arguments each: the client, the one that is
/// tested, and the one in front of the server at a path.
struct Row {
    client: Pen,
    tested: Pen,
    server: Pen,
}

impl Row {
    fn start(net: &Net, dir: &Dir, args: &[&str], server: &At) -> Row {
        let at = |addr: &str| At::Inet(addr.parse().unwrap());
        let start = |namespace: &str, name: &str, at: At, to: &At, more: &[&str]| {
            Starter::at(at)
                .ours()
                .inside(namespace)
                .args(args)
                .args(more)
                .control(At::Unix(dir.file(name)))
                .server(to)
                .start()
        };
        let way = At::Unix(dir.file("way"));
        let (near, far) = (at("10.99.1.1:8000"), at("10.99.2.2:9000"));
        let server = start(&net.server, "server", far.clone(), server, &[]);
        let tested = start(
            &net.pen,
            "tested",
            near.clone(),
            &far,
            &["-O", "transparent"],
        );
        let client = start(&net.client, "client", way, &near, &[]);
        Row {
            client,
            tested,
            server,
        }
    }

    /// Asks once from each of some addresses: those that the server has seen
    /// are the same.
    fn shows_the_clients(&self, ask: impl Fn(&At)) {
        let seen = |address: &str, connects| {
            let line = format!("{address} connects {connects} ");
            wait_until("the server sees a client", || {
                let table = self.server.ask("recent");
                table.lines().any(|shown| shown.starts_with(&line))
            });
        };
        ask(&self.client.at);
        seen("10.99.1.2", 1);
        self.client.ask("source 10.99.1.3");
        ask(&self.client.at);
        seen("10.99.1.3", 1);
        assert_eq!(self.server.ask("recent").lines().count(), 2);
        self.tested.ask("no transparent");
        ask(&self.client.at);
        seen("10.99.2.1", 1);
        self.tested.ask("transparent");
        ask(&self.client.at);
        seen("10.99.1.3", 2);
        assert_eq!(self.server.ask("recent").lines().count(), 3);
    }
}

fn net() -> Option<Net> {
    if skip_on_c() {
        return None;
    }
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
    let server = Backend::letter(At::Unix(dir.file("letter")), 'A');
    let row = Row::start(&net, &dir, &[], &server.at);
    row.shows_the_clients(|at| {
        let client = crate::harness::Client::new(at);
        assert_eq!(client.letter(), "A");
        client.send("more\n");
        assert_eq!(client.letter(), "A");
    });
}

#[test]
fn datagrams_come_from_the_client() {
    let Some(net) = net() else { return };
    let dir = Dir::new();
    let server = Responder::letter(At::Unix(dir.file("letter")), 'A');
    let row = Row::start(&net, &dir, &["-U"], &server.at);
    let count = AtomicU32::new(0);
    row.shows_the_clients(|at| {
        let At::Unix(path) = at else { panic!("{at}") };
        let own = format!("own{}", count.fetch_add(1, Relaxed));
        let client = Asker::unix(&dir.file(&own), path);
        assert_eq!(client.letters(3), "AAA");
    });
}

#[test]
fn without_the_right_it_is_refused() {
    if skip_on_c() {
        return;
    }
    let place = Place::new();
    let servers = letters(&place, 1);
    let mut starter = Starter::new(&place).servers(&servers).control(place.at());
    if is_root() {
        starter = starter.args(["-u", "nobody"]);
    }
    let pen = starter.start();
    let reply = pen.ask("transparent");
    assert!(reply.starts_with("transparent: "), "{reply}");
    assert_eq!(reply.lines().count(), 1, "{reply}");
    // It changes nothing.
    assert_eq!(pen.letter(), "A");
}
