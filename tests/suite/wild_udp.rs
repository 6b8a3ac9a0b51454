//! Command lines with `-U` as they are in use, with other addresses: DNS,
//! syslog, RADIUS, CoAP. Each is quoted above its test.

use crate::differences::UDP_USER;
use crate::stand::{
    Asker, At, Dir, Host, Port, Responder, Starter, better, free_datagram_port, is_root, wait_until,
};
use crate::wild::{penctl, user};
use std::fs;
use std::net::Ipv6Addr;

fn server_line(number: usize, server: &Responder, rest: &str) -> String {
    format!("server {number} {}{rest}", server.at.words())
}

/// `pen VIP:PORT -c 2049 -x 257 -S 10 -C 127.0.0.1:PORT -U -t 1 -b 3`, and then
/// `penctl 127.0.0.1:PORT server N address IP port P max M weight W prio P`
#[test]
fn servers_by_penctl() {
    let host = Host::new();
    let servers = Responder::letters(&host, 2);
    let control = host.at();
    let words = format!("-c 2049 -x 257 -S 10 -U -t 1 -b 3 -C {control}");
    let words = words.split(' ').chain(user().iter().copied());
    let pen = words.fold(Starter::on(&host).expect("-S is obsolete"), Starter::operand).start();
    for (number, server) in servers.iter().enumerate() {
        let line = server_line(number, server, " max 100 weight 1 prio 3");
        assert_eq!(penctl(&control, &line), "");
    }
    assert_eq!(penctl(&control, "timeout"), "1\n");
    assert_eq!(penctl(&control, "blacklist"), "3\n");
    // One client, one server.
    let letters = pen.letters(4);
    assert_eq!(letters, letters[..1].repeat(4));
}

/// `pen -r -W -u pen -x M -c C -F /tmp/pen-X.cfg -p X.pid -C X.ctl -U PORT`,
/// and HUP when the file has been changed
#[test]
fn a_file_and_hup() {
    let (host, port, dir) = (Host::new(), Port::new(), Dir::new().open_to_all());
    let servers = Responder::letters(&host, 2);
    let (config, pid_file) = (dir.file("pen-X.cfg"), dir.file("X.pid"));
    fs::write(&config, server_line(0, &servers[0], " weight 1\n")).unwrap();
    let user: &[&str] = match is_root() {
        true if better(&UDP_USER) => &["-u", "root"],
        true => &["-u", "nobody"],
        false => &[],
    };
    let control = dir.file("X.ctl");
    let pen = Starter::at(port.at())
        .directory(dir.path())
        .args(["-r", "-W"])
        .args(user)
        .args(["-x", "100", "-c", "200", "-F", config.to_str().unwrap()])
        .args(["-p", "X.pid", "-C", control.to_str().unwrap(), "-U"])
        .listen_word(port.number.to_string())
        .start_in_background(&pid_file);
    wait_until("it listens", || pen.at.is_listening());
    let clients = [Asker::new(&pen.at), Asker::new(&pen.at)];
    assert_eq!(clients[0].letter(), "A");
    let both =
        server_line(0, &servers[0], " weight 1\n") + &server_line(1, &servers[1], " weight 1\n");
    fs::write(&config, both).unwrap();
    let count = || penctl(&control.display(), "servers").lines().count();
    assert_eq!(count(), 1);
    pen.signal("HUP");
    wait_until("it is read again", || count() == 2);
    assert_eq!(clients[1].letter(), "B");
}

/// `pen -F /etc/pen/upstreams.cfg -U :::80`
#[test]
fn all_of_ipv6() {
    better!(UDP_KINDS);
    let Some(at) = free_datagram_port(Ipv6Addr::LOCALHOST) else { return };
    let starter = Starter::at(At::Inet(at)).listen_word(format!(":::{}", at.port())).udp();
    let server = Responder::letter(starter.host.at(), 'A');
    let pen = starter.config(server_line(0, &server, "\n")).start();
    assert_eq!(pen.letters(2), "AA");
}

/// `pen -f -u root -C 9000 -X -r -U 5683 $SERVERS`, with a loop beside it that
/// splits what `penctl HOST servers` says on blanks and lets servers rest
#[test]
fn a_loop_that_looks_after_servers() {
    let (port, control) = (Port::new(), Port::new());
    let pen = Starter::at(port.at())
        .args(user())
        .args(["-C", &control.number.to_string(), "-X", "-r"])
        .udp()
        .listen_word(port.number.to_string())
        .letters(2)
        .start();
    let host = control.at();
    let look_after = |is_well: &dyn Fn(u16) -> bool| {
        for line in penctl(&host, "servers").lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (number, port) = (words[0], words[4].parse().unwrap());
            let rest = if is_well(port) { 0 } else { 120 };
            assert_eq!(penctl(&host, &format!("server {number} blacklist {rest}")), "");
        }
    };
    look_after(&|_| true);
    assert_eq!(pen.letters(4), "BABA");
    let lost = pen.servers[1].at().inet().port();
    look_after(&|port| port != lost);
    assert_eq!(pen.letters(4), "AAAA");
    look_after(&|_| true);
    let letters = pen.letters(4);
    assert!(["ABAB", "BABA"].contains(&letters.as_str()), "{letters}");
    // -X
    let mut pen = pen;
    penctl(&host, "exit");
    assert!(pen.wait().success());
}

/// `pen -U -O "source 192.168.1.20" 53 192.168.1.100 192.168.1.101`
#[test]
fn a_name_server_with_a_source_address() {
    let (host, one, two) = (Host::new(), Host::new(), Host::new());
    let at = host.at();
    let port = at.inet().port();
    let servers = [(&one, 'A'), (&two, 'B')]
        .map(|(host, letter)| Responder::letter(At::Inet((host.ip, port).into()), letter));
    let pen = Starter::at(at)
        .args(["-U", "-O", "source 127.0.0.20"])
        .operand(one.ip.to_string())
        .operand(two.ip.to_string())
        .start();
    let client = pen.asker();
    assert_eq!(client.letters(3), "BBB");
    let peers = servers[1].peers();
    assert_eq!(peers.len(), 1);
    assert!(peers.iter().all(|peer| peer.ip().to_string() == "127.0.0.20"));
}
