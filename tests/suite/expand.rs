//! Names with several addresses that are several servers.

use crate::resolve::{Hosts, letter, line};
use crate::stand::{At, Backend, Caller, Dir, Host, Pen, Starter, better, wait_until};
use std::fs;
use std::net::Ipv4Addr;

/// Servers of one name, which say A, B and so on, in the order of their addresses.
struct Farm {
    ips: Vec<Ipv4Addr>,
    port: u16,
    _hosts: Vec<Host>,
    _servers: Vec<Backend>,
}

impl Farm {
    fn new(count: usize) -> Farm {
        let mut all: Vec<_> = (0..count).map(|_| Host::new()).collect();
        all.sort_by_key(|host| host.ip);
        let port = all[0].addr().port();
        let letters = all.iter().zip('A'..);
        let servers = letters.map(|(host, name)| letter(host, port, name)).collect();
        let ips = all.iter().map(|host| host.ip).collect();
        Farm { ips, port, _hosts: all, _servers: servers }
    }

    /// The name has these addresses.
    fn names(&self, letters: &str) -> Vec<(&'static str, Ipv4Addr)> {
        letters.bytes().map(|name| ("web", self.ips[usize::from(name - b'A')])).collect()
    }

    /// Waits until a slot has a server, or none, and these words in its line.
    fn is(&self, pen: &Pen, slot: usize, name: Option<char>, words: &str) {
        let ip = name.map_or(Ipv4Addr::UNSPECIFIED, |name| self.ips[name as usize - 65]);
        let mut now = String::new();
        wait_until(format!("slot {slot} is {name:?}, {words}"), || {
            now = line(pen, slot);
            now.starts_with(&format!("{slot} addr {ip} ")) && now.contains(words)
        });
    }
}

#[test]
fn each_address_of_a_name_is_a_server() {
    better!(RESOLVE);
    let farm = Farm::new(3);
    let Some(hosts) = Hosts::new(&farm.names("CAB")) else { return };
    let (host, dir, port) = (Host::new(), Dir::new(), farm.port);
    let other = Backend::letter(host.at(), 'X');
    let pen = hosts
        .starter()
        .args(["-r", "-O", "expand"])
        .operand(format!("web:{port}:9"))
        .server(&other.at)
        .start();
    assert_eq!(pen.letters(8), "XBCAXBCA");
    for (slot, name) in [(0, 'A'), (2, 'B'), (3, 'C')] {
        farm.is(&pen, slot, Some(name), " max 9 ");
        farm.is(&pen, slot, Some(name), " name web");
    }
    // What is set for the first slot holds for all.
    pen.ask("server 0 max 5");
    farm.is(&pen, 3, Some('C'), " max 5 ");
    let file = dir.file("saved");
    assert_eq!(pen.ask(&format!("write {}", file.display())), "");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.contains("\nexpand\n"), "{text}");
    assert!(text.contains(&format!("\nserver 0 acl 0 address web port {port} max 5 ")), "{text}");
    assert!(!text.contains("\nserver 2 "), "{text}");
    let again = hosts.starter().args(["-r", "-F", file.to_str().unwrap()]).start();
    assert_eq!(again.letters(4), "XBCA");
    // To read it again changes nothing, and a command takes a slot.
    let addresses = || {
        let list = again.ask("servers");
        list.lines().map(|line| line.split(" conn ").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let before = addresses();
    assert_eq!(again.ask(&format!("include {}", file.display())), "");
    assert_eq!(addresses(), before);
    let at = other.at.inet();
    again.ask(&format!("server 2 address {} port {}", at.ip(), at.port()));
    farm.is(&again, 4, Some('B'), "");
    again.ask("no expand");
    let letters = again.letters(6);
    assert_eq!(letters.matches('X').count(), 4, "{letters}");
    farm.is(&again, 3, None, " state empty");
}

#[test]
fn servers_come_and_go_with_the_addresses_of_their_name() {
    better!(RESOLVE);
    let farm = Farm::new(4);
    let Some(hosts) = Hosts::new(&farm.names("A")) else { return };
    let port = farm.port;
    let pen = hosts
        .starter()
        .args(["-r", "-O", "expand", "-O", "resolve 1"])
        .operand(format!("web:{port}"))
        .expect(": web is ")
        .start();
    assert_eq!(pen.letters(2), "AA");
    hosts.set(&farm.names("BA"));
    farm.is(&pen, 1, Some('B'), " state untried");
    let client = pen.connect();
    assert_eq!(client.letter(), "B");
    hosts.set(&farm.names("A"));
    farm.is(&pen, 1, Some('B'), " state drained since ");
    farm.is(&pen, 1, Some('B'), " reason no longer an address of web");
    assert_eq!(pen.letters(2), "AA");
    client.send("\n");
    assert_eq!(client.letter(), "B");
    // It comes back.
    hosts.set(&farm.names("AB"));
    farm.is(&pen, 1, Some('B'), " state up ");
    // It goes with its last connection, and another one takes the slot.
    hosts.set(&farm.names("AC"));
    farm.is(&pen, 2, Some('C'), " state untried");
    drop(client);
    farm.is(&pen, 1, None, " state empty");
    hosts.set(&farm.names("D"));
    farm.is(&pen, 0, Some('D'), " state untried");
    farm.is(&pen, 2, None, " state empty");
    assert_eq!(pen.letter(), "D");
}

#[test]
fn the_hash_is_that_of_the_addresses() {
    better!(RESOLVE);
    let farm = Farm::new(3);
    let Some(hosts) = Hosts::new(&farm.names("ABC")) else { return };
    let port = farm.port;
    let by_name =
        hosts.starter().args(["-N", "-O", "expand"]).operand(format!("web:{port}")).start();
    let mut starter = Starter::new().args(["-N"]);
    for ip in [2, 0, 1] {
        starter = starter.server(&At::Inet((farm.ips[ip], port).into()));
    }
    let by_address = starter.start();
    let homes = |pen: &Pen| -> String {
        (101..121).map(|number| Caller::new(number, pen).letter()).collect()
    };
    let letters = homes(&by_name);
    assert_eq!(letters, homes(&by_address));
    assert!("ABC".chars().all(|letter| letters.contains(letter)), "{letters}");
}
