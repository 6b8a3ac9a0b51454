//! Names of hosts: several addresses, and look-ups that take their time.

use crate::differences::{ADDRESSES, COMPANIONS, LOOKUP};
use crate::stand::{
    At, Backend, Dir, Host, PATIENCE, Starter, better, finish, own_etc, program, skipped, with_etc,
    worse,
};
use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

/// Two addresses that have one name, and the file that says so.
fn twins() -> Option<(Host, Host, Dir)> {
    let (one, two) = (Host::new(), Host::new());
    let hosts = format!("127.0.0.1 localhost\n{} twins\n{} twins\n", one.ip, two.ip);
    own_etc(&[("hosts", &hosts)]).map(|etc| (one, two, etc))
}

/// With a server on either address alone, which says a letter and ends: how
/// often it is reached.
fn reached(one: &Host, two: &Host, ask: impl Fn(u16) -> bool) -> usize {
    let port = one.addr().port();
    let reached = [one, two].into_iter().filter(|host| {
        let at = At::Inet((IpAddr::from(host.ip), port).into());
        let _server = Backend::start(at, |stream| {
            let _ = stream.peek(&mut [0]);
            let _ = (&*stream).write_all(b"A");
            let _ = (&*stream).read(&mut [0; 100]);
        });
        ask(port)
    });
    reached.count()
}

#[test]
fn each_address_of_a_server_is_tried() {
    let Some((one, two, etc)) = twins() else { return };
    let found = reached(&one, &two, |port| {
        let pen = Starter::new().etc(etc.path()).operand(format!("twins:{port}")).start();
        let client = pen.connect();
        client.send("hello");
        client.letter() == "A"
    });
    assert_eq!(found, if worse(&ADDRESSES) { 1 } else { 2 });
}

#[test]
fn each_address_of_a_control_port_is_tried() {
    let Some((one, two, etc)) = twins() else { return };
    let found = reached(&one, &two, |port| {
        let mut command = with_etc(etc.path(), &program("penctl"));
        command.args([&format!("twins:{port}"), "mode"]);
        finish(command).stdout == b"A"
    });
    assert_eq!(found, if worse(&COMPANIONS) { 1 } else { 2 });
}

/// A name server that does not answer for 3 seconds, and the files that name it.
fn silent_dns(host: &Host) -> Option<(UdpSocket, Dir)> {
    let Ok(silent) = UdpSocket::bind((host.ip, 53)) else {
        skipped("port 53 cannot be had");
        return None;
    };
    silent.set_read_timeout(Some(PATIENCE)).unwrap();
    let resolv = format!("nameserver {}\noptions timeout:3 attempts:1\n", host.ip);
    let files = [("resolv.conf", resolv.as_str()), ("nsswitch.conf", "hosts: dns\n")];
    own_etc(&files).map(|etc| (silent, etc))
}

/// What is for the user of a listener's socket alone must not become the mode of
/// other files, nor must other listeners wait.
#[test]
fn a_look_up_for_a_listener_changes_nothing_else() {
    better!(WEB);
    let dns = Host::new();
    let Some((silent, etc)) = silent_dns(&dns) else { return };
    let (host, dir) = (Host::new(), Dir::new());
    let pen = Starter::on(&host).etc(etc.path()).control().start();
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| pen.ask("web nobody.example.org:1"));
        silent.recv(&mut [0; 1000]).unwrap();
        let file = dir.file("pen.cfg");
        assert_eq!(pen.ask(&format!("write {}", file.display())), "");
        let mode = fs::metadata(&file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o644, "{mode:o}");
        let start = Instant::now();
        let web = host.at();
        assert_eq!(pen.ask(&format!("web {web}")), format!("{web}\n"));
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        assert!(!asks.is_finished());
        asks.join().unwrap();
    });
}

#[test]
fn a_look_up_holds_up_nobody() {
    let dns = Host::new();
    let Some((silent, etc)) = silent_dns(&dns) else { return };
    let pen = Starter::new().etc(etc.path()).letters(1).control().start();
    std::thread::scope(|scope| {
        let asks = scope.spawn(|| pen.ask("server 1 address nobody.example.org port 1"));
        // It is asked, and does not answer.
        silent.recv(&mut [0; 1000]).unwrap();
        let start = Instant::now();
        assert_eq!(pen.letter(), "A");
        let is_late = start.elapsed() > Duration::from_secs(1);
        assert_eq!(is_late, worse(&LOOKUP), "{:?}", start.elapsed());
        asks.join().unwrap();
    });
}
