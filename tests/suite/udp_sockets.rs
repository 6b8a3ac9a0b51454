//! UDP (`-U`): where pen listens and where servers are: wildcard addresses,
//! IPv6, Unix sockets, and moves.

use crate::differences::UDP_KINDS;
use crate::stand::{
    Asker, At, Dir, Host, PATIENCE, Responder, Starter, better, finish, free_datagram_port,
    refused, skipped, wait_until,
};
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::process::Command;

/// A few questions and answers.
fn talks(client: &Asker) {
    for text in ["one", "two", "three"] {
        assert_eq!(client.ask(text), format!("A{text}"));
    }
}

#[test]
fn answers_come_from_the_address_that_was_asked() {
    better!(UDP_WILDCARD);
    let host = Host::new();
    let at = free_datagram_port(Ipv4Addr::UNSPECIFIED).unwrap();
    let pen = Starter::at(At::Inet(at)).udp().letters(1).control().start();
    // Connected sockets take nothing from elsewhere.
    let addresses = [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2), host.ip];
    for address in addresses {
        talks(&Asker::new(&At::Inet((address, at.port()).into())));
    }
    assert_eq!(pen.load(0), 3);
    // One client that asks at several addresses.
    let client = UdpSocket::bind("127.0.0.3:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    for address in addresses {
        let question = address.to_string();
        let to: SocketAddr = (address, at.port()).into();
        client.send_to(question.as_bytes(), to).unwrap();
    }
    let mut answers = BTreeMap::new();
    for _ in addresses {
        let mut buffer = [0; 100];
        let (count, from) = client.recv_from(&mut buffer).unwrap();
        answers.insert(from, String::from_utf8(buffer[..count].to_vec()).unwrap());
    }
    let wanted = addresses.map(|ip| ((ip, at.port()).into(), format!("A{ip}")));
    assert_eq!(answers, BTreeMap::from(wanted));
    // Each of these is a flow.
    assert_eq!(pen.load(0), 6);
    assert_eq!(pen.servers[0].peers().len(), 6);
}

#[test]
fn a_port_alone_is_all_of_ipv4() {
    let at = free_datagram_port(Ipv4Addr::UNSPECIFIED).unwrap();
    let _pen =
        Starter::at(At::Inet(at)).listen_word(at.port().to_string()).udp().letters(1).start();
    talks(&Asker::new(&At::Inet((Ipv4Addr::LOCALHOST, at.port()).into())));
}

#[test]
fn all_of_ipv6_is_all_of_ipv4_too() {
    better!(UDP_KINDS);
    let Some(at) = free_datagram_port(Ipv6Addr::UNSPECIFIED) else { return };
    let pen = Starter::at(At::Inet(at))
        .listen_word(format!(":::{}", at.port()))
        .udp()
        .args(["-O", "acl 0 permit 127.0.0.0/8", "-O", "acl 0 permit ::1"])
        .letters(1)
        .control()
        .start();
    for address in [Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 2), pen.host.ip] {
        talks(&Asker::new(&At::Inet((address, at.port()).into())));
    }
    // An IPv4 client is one, also in the table.
    let table = pen.ask("recent");
    assert!(table.starts_with("127.0.0.1 connects 3 "), "{table}");
    if UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skipped("no ::1 here");
    }
    talks(&Asker::new(&At::Inet((Ipv6Addr::LOCALHOST, at.port()).into())));
    let table = pen.ask("recent");
    assert!(table.contains("\n::1 connects 1 "), "{table}");
}

#[test]
fn ipv6_on_either_side() {
    let (Some(listen), Some(server)) =
        (free_datagram_port(Ipv6Addr::LOCALHOST), free_datagram_port(Ipv6Addr::LOCALHOST))
    else {
        return;
    };
    let host = Host::new();
    let near = Responder::letter(host.at(), 'A');
    let far = Responder::letter(At::Inet(server), 'A');
    for (at, server) in [(host.at(), &far), (At::Inet(listen), &near), (At::Inet(listen), &far)] {
        let is_v6 = at.inet().is_ipv6();
        if is_v6 && better(&UDP_KINDS) {
            return;
        }
        let pen = Starter::at(at).udp().server(&server.at).control().start();
        let (x, y) = (pen.asker(), pen.asker());
        talks(&x);
        talks(&y);
        let table = pen.ask("recent");
        let client = if is_v6 { "::1" } else { "127.0.0.1" };
        assert!(table.starts_with(&format!("{client} connects 2 ")), "{table}");
    }
}

#[test]
fn a_unix_socket_for_clients() {
    better!(UDP_KINDS);
    let pen = Starter::unix().udp().args(["-r"]).letters(2).control().start();
    let (path, _host) = (pen.file("pen.sock"), pen.host.clone());
    let clients = ["x", "y", "z"].map(|name| Asker::unix(&pen.file(name), &path));
    for _ in 0..3 {
        let letters: String = clients.iter().map(Asker::letter).collect();
        assert_eq!(letters, "BAB");
    }
    assert!(pen.ask("recent").starts_with("unix connects 3 "));
    // Without a path of its own a client can be heard, but not answered.
    let mute = UnixDatagram::unbound().unwrap();
    mute.send_to(b"hello", &path).unwrap();
    let is_heard = || pen.servers[0].heard().iter().any(|(_, data)| data == b"hello");
    wait_until("it is heard", is_heard);
    assert_eq!(clients[0].letter(), "B");
    // One that has gone and come back gets its answers again.
    let [x, ..] = clients;
    drop(x);
    std::fs::remove_file(pen.file("x")).unwrap();
    assert_eq!(Asker::unix(&pen.file("x"), &path).letter(), "B");
    drop(pen);
    assert!(!path.exists());
}

#[test]
fn a_unix_socket_for_a_server() {
    better!(UDP_KINDS);
    let starter = Starter::new().udp().args(["-b", "1"]).control();
    let at = starter.host.unix("server.sock");
    let server = Responder::letter(at.clone(), 'A');
    let pen = starter
        .server(&at)
        .expect("server 0")
        .expect("no server available")
        .expect("more messages like these")
        .start();
    let clients = [pen.asker(), pen.asker()];
    clients.iter().for_each(talks);
    assert_eq!(pen.load(0), 2);
    let list = pen.ask("servers");
    let wanted = format!("0 addr {at} port 1 conn ");
    assert!(list.starts_with(&wanted), "{list}");
    // It comes back as another socket.
    drop(server);
    clients[0].send("lost");
    pen.says("is down, next try in 1 s");
    let server = Responder::letter(at, 'A');
    wait_until("it is used again", || {
        clients[0].send("found");
        server.count() > 0
    });
    assert_eq!(clients[0].receive(), b"Afound");
}

#[test]
fn unix_sockets_on_both_sides() {
    better!(UDP_KINDS);
    let starter = Starter::unix().udp();
    let server = Responder::letter(starter.host.unix("server.sock"), 'A');
    let pen = starter.serving(server).start();
    for name in ["x", "y"] {
        talks(&Asker::unix(&pen.file(name), &pen.file("pen.sock")));
    }
}

#[test]
fn who_does_not_read_holds_nobody_up() {
    better!(UDP_KINDS);
    let starter = Starter::unix().udp().args(["-r"]).letters(1);
    let at = starter.host.unix("stuck.sock");
    let stuck = UnixDatagram::bind(starter.host.file("stuck.sock")).unwrap();
    let pen = starter.server(&at).expect("stuck.sock) is down, next try in 30 s").start();
    let asker = |name| Asker::unix(&pen.file(name), &pen.file("pen.sock"));
    let [x, y, deaf] = ["x", "y", "deaf"].map(asker);
    // In turn: this one has the server that does not read.
    x.send("0");
    talks(&y);
    let mut count = 1;
    while !pen.has_said("is down, next try in 30 s") {
        x.send(count.to_string());
        talks(&y);
        count += 1;
    }
    // What it has not taken, the other one has.
    stuck.set_nonblocking(true).unwrap();
    let mut taken = 0;
    while stuck.recv(&mut [0; 10]).is_ok() {
        taken += 1;
    }
    for number in taken..count {
        assert_eq!(x.receive(), format!("A{number}").into_bytes());
    }
    // Nor are clients waited for. (The kernel counts what they do not read
    // against pen's socket: some 270 answers on Linux, then all are held up.)
    for _ in 0..200 {
        let before = pen.servers[0].count();
        deaf.send("hello");
        wait_until("it is heard", || pen.servers[0].count() > before);
    }
    talks(&y);
}

#[test]
fn a_move() {
    let (host, dir) = (Host::new(), Dir::new());
    let pen = Starter::on(&host).udp().letters(1).control().start();
    talks(&pen.asker());
    let next = host.at();
    assert_eq!(pen.ask(&format!("listen {next}")), format!("{next}\n"));
    talks(&Asker::new(&next));
    wait_until("the old place is closed", || !pen.at.is_listening());
    better!(IMPOSSIBLE);
    let reply = pen.ask("listen 192.0.2.1:80");
    assert!(reply.starts_with("192.0.2.1:80: cannot listen"), "{reply}");
    talks(&Asker::new(&next));
    let path = dir.file("pen.sock");
    let word = path.display();
    assert_eq!(pen.ask(&format!("listen {word}")), format!("{word}\n"));
    talks(&Asker::unix(&dir.file("x"), &path));
    pen.ask(&format!("listen {}", pen.at));
    talks(&pen.asker());
    wait_until("the old path is removed", || !path.exists());
}

#[test]
fn an_address_that_is_taken_is_refused() {
    better!(FAILED_START);
    let host = Host::new();
    let taken = UdpSocket::bind(host.addr()).unwrap();
    let word = taken.local_addr().unwrap().to_string();
    refused(&["-U", &word, "127.0.0.1:9"], &[&word, "cannot listen"]);
}

/// Tries to bind this address in the ways that there are, as this user and, if
/// that is root, as another one. Says what was not refused.
const TAKERS: &str = r"
import os, socket, sys
ip, port = sys.argv[1], int(sys.argv[2])
def take(*options):
    taker = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    for option in options:
        taker.setsockopt(socket.SOL_SOCKET, option, 1)
    try:
        taker.bind((ip, port))
        print('taken', options, os.getuid())
    except OSError:
        pass
take(socket.SO_REUSEADDR)
if os.getuid() == 0:
    os.setuid(65534)
    take(socket.SO_REUSEADDR)
    take(socket.SO_REUSEPORT)
    take(socket.SO_REUSEADDR, socket.SO_REUSEPORT)
";

#[test]
fn nobody_else_gets_the_port() {
    better!(UDP_PORT);
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("no python3, which tries to take it");
    }
    let pen = Starter::new().udp().letters(1).start();
    let at = pen.at.inet();
    let mut python = Command::new("python3");
    python.args(["-c", TAKERS, &at.ip().to_string(), &at.port().to_string()]);
    let output = finish(python);
    let text = |data: &[u8]| String::from_utf8_lossy(data).into_owned();
    assert_eq!((text(&output.stdout), text(&output.stderr)), Default::default());
    assert!(output.status.success());
    assert_eq!(pen.letters(3), "AAA");
}
