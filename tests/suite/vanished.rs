//! Hosts that vanish without a word: keep-alive. In network namespaces, so that
//! there is a cable to pull.

use crate::stand::{
    At, Backend, Client, Dir, Pen, Place, Starter, better, ip, skipped, wait_for, wait_until,
};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// Longer than keep-alive and pen take together on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Two hosts with a cable between them: pen's, and another one.
struct Cable {
    pen: String,
    far: String,
}

impl Cable {
    /// `None`, said aloud, where they are not allowed.
    fn new() -> Option<Cable> {
        static COUNTER: AtomicU32 = AtomicU32::new(0);
        let count = COUNTER.fetch_add(1, Relaxed);
        let name = |role| format!("pen-cable-{}-{count}-{role}", std::process::id());
        // Made first, so that what comes to exist is removed whatever happens.
        let cable = Cable { pen: name("pen"), far: name("far") };
        let Cable { pen, far } = &cable;
        for line in [
            format!("netns add {pen}"),
            format!("netns add {far}"),
            format!("netns exec {far} true"),
            format!("-n {far} link add eth0 type veth peer name eth0 netns {pen}"),
        ] {
            if let Err(e) = ip(&line) {
                skipped(&e);
                return None;
            }
        }
        for (name, address) in [(pen, "10.98.1.1/24"), (far, "10.98.1.2/24")] {
            ip(&format!("-n {name} addr add {address} dev eth0")).unwrap();
            ip(&format!("-n {name} link set eth0 up")).unwrap();
        }
        Some(cable)
    }

    fn pull(&self) {
        ip(&format!("-n {} link set eth0 down", self.far)).unwrap();
    }

    /// A pen in one of the namespaces; only what has a path is seen from here.
    fn pen(&self, dir: &Dir, name: &str, at: At, to: &At) -> Starter {
        let control = At::Unix(dir.file(&format!("{name}.control")));
        Starter::at(at).inside(name).control(control).server(to)
    }
}

impl Drop for Cable {
    fn drop(&mut self) {
        for name in [&self.pen, &self.far] {
            let _ = ip(&format!("netns del {name}"));
        }
    }
}

fn unix(dir: &Dir, name: &str) -> At {
    At::Unix(dir.file(name))
}

fn inet(addr: &str) -> At {
    At::Inet(addr.parse().unwrap())
}

#[test]
fn a_client_that_vanishes_gives_its_place_back() {
    better!(CLIENT_KEEPALIVE);
    let Some(cable) = Cable::new() else { return };
    let dir = Dir::new();
    let server = Backend::letter(unix(&dir, "server"), 'A');
    let near = inet("10.98.1.1:8000");
    let tested = cable.pen(&dir, &cable.pen, near.clone(), &server.at);
    let tested = tested.args(["-O", "client_keepalive 1"]).start();
    let way = cable.pen(&dir, &cable.far, unix(&dir, "way"), &near).ours().start();
    let client = way.connect();
    assert_eq!(client.letter(), "A");
    assert_eq!(tested.load(0), 1);
    cable.pull();
    wait_for(LONG, "the connection is over", || tested.load(0) == 0);
}

#[test]
fn a_server_that_vanishes_lets_its_client_go() {
    better!(CLIENT_KEEPALIVE);
    let Some(cable) = Cable::new() else { return };
    let dir = Dir::new();
    let server = Backend::letter(unix(&dir, "server"), 'A');
    let far = inet("10.98.1.2:8000");
    let _way = cable.pen(&dir, &cable.far, far.clone(), &server.at).ours().start();
    let tested = cable.pen(&dir, &cable.pen, unix(&dir, "pen"), &far);
    let args = ["-O", "client_keepalive 1", "-O", "keepalive"];
    let tested = tested.args(args).start();
    let client = tested.connect();
    assert_eq!(client.letter(), "A");
    cable.pull();
    assert!(client.ends());
}

/// The client has closed, the server says nothing: to pen the client looks like
/// one that still listens, until its kernel has forgotten the connection.
#[test]
fn a_client_that_has_closed_for_good_gives_its_place_back() {
    better!(GONE);
    let Some(cable) = Cable::new() else { return };
    let dir = Dir::new();
    let forget = format!("netns exec {} sysctl -q -w net.ipv4.tcp_fin_timeout=1", cable.far);
    if let Err(e) = ip(&forget) {
        return skipped(&e);
    }
    let server = Backend::start(unix(&dir, "server"), std::mem::forget);
    let near = inet("10.98.1.1:8000");
    let tested = cable.pen(&dir, &cable.pen, near.clone(), &server.at);
    let tested = tested.args(["-O", "client_keepalive 1"]).start();
    // Its client's end closes both of its sockets.
    let way = cable.pen(&dir, &cable.far, unix(&dir, "way"), &near).ours();
    let way = way.args(["-O", "tcp_fastclose both"]).start();
    let client = way.connect();
    wait_until("it is connected", || tested.load(0) == 1);
    drop(client);
    wait_for(LONG, "the connection is over", || tested.load(0) == 0);
}

/// What the kernel's timer for a connection of pen's has left, in seconds: of the
/// one with this address and port at this end, or at the other one.
fn timer(at: &At, is_local: bool) -> Option<u64> {
    let addr = at.inet();
    let std::net::IpAddr::V4(v4) = addr.ip() else { return None };
    let word = format!("{:08X}:{:04X}", u32::from_ne_bytes(v4.octets()), addr.port());
    let table = std::fs::read_to_string(Path::new("/proc/net/tcp")).unwrap();
    let mut lines = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let line =
        lines.find(|words| words[if is_local { 1 } else { 2 }] == word && words[3] == "01")?;
    // 02 is keep-alive; hundredths of a second.
    let left = line[5].strip_prefix("02:")?;
    Some(u64::from_str_radix(left, 16).unwrap().div_ceil(100))
}

fn connected(pen: &Pen) -> Client {
    let client = pen.connect();
    assert_eq!(client.letter(), "A");
    client
}

#[test]
fn clients_are_always_watched_and_servers_on_order() {
    let place = Place::new();
    let server = Backend::letter(place.at(), 'A');
    let pen = Starter::new(&place).control(place.at()).server(&server.at).start();
    for (line, wanted) in [("keepalive", true), ("no keepalive", false)] {
        assert_eq!(pen.ask(line), "");
        let client = connected(&pen);
        assert!(timer(&pen.at, true).is_some());
        wait_until(line, || timer(&server.at, false).is_some() == wanted);
        drop(client);
        wait_until("it is over", || pen.load(0) == 0);
    }
}

#[test]
fn the_time_can_be_set_while_pen_runs() {
    better!(CLIENT_KEEPALIVE);
    let place = Place::new();
    let server = Backend::letter(place.at(), 'A');
    let pen = Starter::new(&place).control(place.at()).server(&server.at).start();
    let system = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_keepalive_time").unwrap();
    let system: u64 = system.trim().parse().unwrap();
    assert_eq!(pen.ask("client_keepalive"), "120\n");
    pen.ask("keepalive");
    for (line, time) in
        [("client_keepalive", 120), ("client_keepalive 300", 300), ("client_keepalive 0", system)]
    {
        pen.ask(line);
        let client = connected(&pen);
        for (at, is_local) in [(&pen.at, true), (&server.at, false)] {
            let left = timer(at, is_local).unwrap();
            assert!((time - 20..=time + 1).contains(&left), "{line}: {left}");
        }
        drop(client);
        wait_until("it is over", || pen.load(0) == 0);
    }
    assert!(pen.ask("client_keepalive 32768").contains("32767 seconds at most"));
}
