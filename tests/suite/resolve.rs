//! Names of servers that are looked up again.

use crate::stand::{
    At, Backend, Caller, Dir, Host, Pen, Responder, Starter, better, own_etc, wait_until,
};
use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;

/// A file of hosts that one pen alone has. Nothing else is asked for names, or nobody
/// who answers.
pub(crate) struct Hosts(Dir);

impl Hosts {
    /// `None`, said aloud, where that is not allowed.
    pub(crate) fn new(names: &[(&str, Ipv4Addr)]) -> Option<Hosts> {
        let resolv = "nameserver 127.255.255.254\noptions timeout:1 attempts:1\n";
        let files = [("hosts", "\n"), ("nsswitch.conf", "hosts: files\n"), ("resolv.conf", resolv)];
        let hosts = Hosts(own_etc(&files)?);
        hosts.set(names);
        Some(hosts)
    }

    /// From now on these are the names. Nobody sees half of the file: the same number
    /// of bytes takes the place of the old ones at once.
    pub(crate) fn set(&self, names: &[(&str, Ipv4Addr)]) {
        let lines = names.iter().map(|(name, ip)| format!("{ip} {name}\n"));
        let text = format!("{:<2000}", lines.collect::<String>());
        let file = fs::File::options().write(true).open(self.0.file("hosts")).unwrap();
        std::os::unix::fs::FileExt::write_all_at(&file, text.as_bytes(), 0).unwrap();
    }

    pub(crate) fn dir(&self) -> &Path {
        self.0.path()
    }

    /// A pen that has these names.
    pub(crate) fn starter(&self) -> Starter {
        Starter::new().etc(self.0.path()).control()
    }
}

/// Two addresses with servers that say A and B, on one port.
fn two() -> (Host, Host, u16) {
    let (one, two) = (Host::new(), Host::new());
    let port = one.addr().port();
    (one, two, port)
}

pub(crate) fn letter(host: &Host, port: u16, letter: char) -> Backend {
    Backend::letter(At::Inet((IpAddr::from(host.ip), port).into()), letter)
}

/// The line of a server in `servers`.
pub(crate) fn line(pen: &Pen, server: usize) -> String {
    pen.ask("servers").lines().nth(server).unwrap_or_default().to_owned()
}

#[test]
fn new_connections_go_where_the_name_is_now() {
    better!(RESOLVE);
    let (one, two, port) = two();
    let Some(hosts) = Hosts::new(&[("web", one.ip)]) else { return };
    let (_a, _b) = (letter(&one, port, 'A'), letter(&two, port, 'B'));
    let pen = hosts
        .starter()
        .args(["-O", "resolve 1"])
        .web_at(one.at())
        .operand(format!("web:{port}"))
        .expect(": web is ")
        .start();
    let old = pen.connect();
    assert_eq!(old.letter(), "A");
    let names = |text: &str| assert!(line(&pen, 0).contains(text), "{}", line(&pen, 0));
    names(&format!("0 addr {} port ", one.ip));
    hosts.set(&[("web", two.ip)]);
    wait_until("it is seen", || pen.letter() == "B");
    pen.says(&format!("server 0 ({}, port {port}): web is {} now", one.ip, two.ip));
    names(&format!("0 addr {} port ", two.ip));
    names(" name web");
    assert_eq!(pen.get("/status.json").member("\"servers\"", "name"), "web");
    assert!(pen.get("/metrics").body.contains(&format!("port=\"{port}\",name=\"web\"}} ")));
    // The old connection stays where it is.
    old.send("\n");
    assert_eq!(old.letter(), "A");
}

#[test]
fn a_failed_look_up_changes_nothing() {
    better!(RESOLVE);
    let (one, _two, port) = two();
    let Some(hosts) = Hosts::new(&[("web", one.ip)]) else { return };
    let _a = letter(&one, port, 'A');
    let pen = hosts
        .starter()
        .args(["-O", "resolve 1"])
        .operand(format!("web:{port}"))
        .expect("the address stays as it was")
        .start();
    let before = line(&pen, 0);
    hosts.set(&[]);
    pen.says("web: cannot find this host: ");
    assert_eq!(line(&pen, 0), before);
    assert_eq!(pen.letter(), "A");
}

#[test]
fn a_server_that_fails_again_and_again_is_looked_up_at_once() {
    better!(RESOLVE);
    let (one, two, port) = two();
    for check in ["check 0", "check 1"] {
        let Some(hosts) = Hosts::new(&[("web", one.ip)]) else { return };
        let _b = letter(&two, port, 'B');
        let pen = hosts
            .starter()
            .args(["-b", "0", "-O", "resolve 3600", "-O", check])
            .operand(format!("web:{port}"))
            .expect("server 0 (")
            .expect("no server available")
            .expect("more messages like these")
            .start();
        hosts.set(&[("web", two.ip)]);
        match check {
            "check 0" => wait_until("it is found", || pen.letter() == "B"),
            _ => wait_until("it is found", || line(&pen, 0).contains(" state up ")),
        }
        pen.says(": web is ");
    }
}

#[test]
fn datagrams_follow_the_name() {
    better!(RESOLVE);
    let (one, two, port) = two();
    let Some(hosts) = Hosts::new(&[("ns", one.ip)]) else { return };
    let at = |place: &Host| At::Inet((IpAddr::from(place.ip), port).into());
    let (_a, _b) = (Responder::letter(at(&one), 'A'), Responder::letter(at(&two), 'B'));
    let pen = hosts
        .starter()
        .args(["-U", "-O", "resolve 1"])
        .operand(format!("ns:{port}"))
        .expect(": ns is ")
        .start();
    let client = pen.asker();
    assert_eq!(client.letter(), "A");
    hosts.set(&[("ns", two.ip)]);
    wait_until("the flow moves", || client.letter() == "B");
}

#[test]
fn a_name_that_becomes_pens_own_address_is_refused() {
    better!(RESOLVE);
    let place = Host::new();
    let at = place.at();
    let (one, port) = (Host::new(), at.inet().port());
    let Some(hosts) = Hosts::new(&[("web", one.ip)]) else { return };
    let _a = letter(&one, port, 'A');
    let pen = Starter::at(at)
        .etc(hosts.0.path())
        .control()
        .args(["-O", "resolve 1"])
        .operand(format!("web:{port}"))
        .expect("the address stays as it was")
        .start();
    hosts.set(&[("web", place.ip)]);
    pen.says("web: this is where pen itself listens; the address stays");
    assert_eq!(pen.letter(), "A");
}

/// What `write` saves has the names, so that the hash stays the same.
#[test]
fn a_saved_configuration_has_the_same_hash() {
    better!(RESOLVE);
    let places: Vec<_> = (0..4).map(|_| Host::new()).collect();
    let port = places[0].addr().port();
    let names = ["web1", "web2", "web3", "web4"];
    let known: Vec<_> = names.into_iter().zip(places.iter().map(|place| place.ip)).collect();
    let Some(hosts) = Hosts::new(&known) else { return };
    let letters = "ABCD".chars();
    let _servers: Vec<_> =
        places.iter().zip(letters).map(|(place, name)| letter(place, port, name)).collect();
    let dir = Dir::new();
    let file = dir.file("saved").display().to_string();
    let homes = |pen: &Pen| -> String {
        (1..=20).map(|number| Caller::new(100 + number, pen).letter()).collect()
    };
    let mut starter = hosts.starter().args(["-N", "-O", "resolve 3600"]);
    for name in names {
        starter = starter.operand(format!("{name}:{port}"));
    }
    let pen = starter.start();
    let before = homes(&pen);
    pen.ask(&format!("emergency web2:{port}"));
    assert_eq!(pen.ask(&format!("write {file}")), "");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nresolve 3600\n"), "{text}");
    assert!(text.contains(&format!("\nserver 3 acl 0 address web4 port {port} ")), "{text}");
    assert!(text.contains(&format!("\nemergency web2:{port}\n")), "{text}");
    let again = hosts.starter().args(["-N", "-F", &file]).start();
    assert_eq!(homes(&again), before);
    // Without it the addresses are saved, as ever.
    assert_eq!(again.ask("resolve 0"), "0\n");
    assert_eq!(again.ask(&format!("write {file}")), "");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains(&format!("address {} port {port} ", places[3].ip)), "{text}");
}
