//! Hosts that vanish without a word: keep-alive. In network namespaces, so that
//! there is a cable to pull.

use crate::stand::{At, Backend, Dir, Namespace, Starter, better, wait_for, wait_until};
use std::path::Path;
use std::time::Duration;

/// Longer than keep-alive and pen take together on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Two hosts with a cable between them: pen's, and another one.
struct Cable {
    pen: Namespace,
    far: Namespace,
}

impl Cable {
    /// `None`, said aloud, where they are not allowed.
    fn new() -> Option<Cable> {
        let cable = Cable { pen: Namespace::new()?, far: Namespace::new()? };
        cable.far.join("eth0", &cable.pen, "eth0")?;
        cable.pen.address("eth0", "10.98.1.1/24");
        cable.far.address("eth0", "10.98.1.2/24");
        Some(cable)
    }

    fn pull(&self) {
        self.far.ip("link set eth0 down");
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
    let tested = cable.pen.pen(&dir, near.clone(), &server.at);
    let tested = tested.args(["-O", "client_keepalive 1"]).start();
    let way = cable.far.pen(&dir, unix(&dir, "way"), &near).ours().start();
    let _client = way.connect_to("A");
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
    let _way = cable.far.pen(&dir, far.clone(), &server.at).ours().start();
    let tested = cable.pen.pen(&dir, unix(&dir, "pen"), &far);
    let args = ["-O", "client_keepalive 1", "-O", "keepalive"];
    let tested = tested.args(args).start();
    let client = tested.connect_to("A");
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
    cable.far.set("tcp_fin_timeout", "1");
    let server = Backend::start(unix(&dir, "server"), std::mem::forget);
    let near = inet("10.98.1.1:8000");
    let tested = cable.pen.pen(&dir, near.clone(), &server.at);
    let tested = tested.args(["-O", "client_keepalive 1"]).start();
    // Its client's end closes both of its sockets.
    let way = cable.far.pen(&dir, unix(&dir, "way"), &near).ours();
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

#[test]
fn clients_are_always_watched_and_servers_on_order() {
    let pen = Starter::new().control().letters(1).start();
    for (line, wanted) in [("keepalive", true), ("no keepalive", false)] {
        assert_eq!(pen.ask(line), "");
        let client = pen.connect_to("A");
        assert!(timer(&pen.at, true).is_some());
        wait_until(line, || timer(pen.servers[0].at(), false).is_some() == wanted);
        drop(client);
        wait_until("it is over", || pen.load(0) == 0);
    }
}

#[test]
fn the_time_can_be_set_while_pen_runs() {
    better!(CLIENT_KEEPALIVE);
    let pen = Starter::new().control().letters(1).start();
    let system = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_keepalive_time").unwrap();
    let system: u64 = system.trim().parse().unwrap();
    assert_eq!(pen.ask("client_keepalive"), "120\n");
    pen.ask("keepalive");
    for (line, time) in
        [("client_keepalive", 120), ("client_keepalive 300", 300), ("client_keepalive 0", system)]
    {
        pen.ask(line);
        let client = pen.connect_to("A");
        for (at, is_local) in [(&pen.at, true), (pen.servers[0].at(), false)] {
            let left = timer(at, is_local).unwrap();
            assert!((time - 20..=time + 1).contains(&left), "{line}: {left}");
        }
        drop(client);
        wait_until("it is over", || pen.load(0) == 0);
    }
    assert!(pen.ask("client_keepalive 32768").contains("32767 seconds at most"));
}
