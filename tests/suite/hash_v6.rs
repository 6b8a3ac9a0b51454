//! The hash of IPv6 addresses. It takes a few, which a network namespace can
//! have; clients and servers reach pen there by Unix sockets, see
//! [`crate::transparent`].

use crate::differences::HASH_V6;
use crate::harness::{At, Backend, Client, Dir, Starter, is_root, skipped, worse};
use crate::transparent::ip;
use std::collections::BTreeSet;

/// A network namespace, removed when this goes.
struct Namespace(String);

impl Namespace {
    /// One that has these addresses; `None`, said aloud, where that is not
    /// allowed.
    fn new(addresses: &[String]) -> Option<Namespace> {
        if !is_root() {
            skipped("only root makes network namespaces");
            return None;
        }
        let name = format!("pen-suite-{}-hash", std::process::id());
        let namespace = Namespace(name.clone());
        let mut lines = vec![format!("netns add {name}"), format!("-n {name} link set lo up")];
        let add = |address| format!("-n {name} addr add {address}/128 dev lo nodad");
        lines.extend(addresses.iter().map(add));
        lines.push(format!("netns exec {name} true"));
        for line in lines {
            if let Err(e) = ip(&line) {
                skipped(&e);
                return None;
            }
        }
        Some(namespace)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = ip(&format!("netns del {}", self.0));
    }
}

#[test]
fn all_of_the_address_counts() {
    // The same last byte.
    let addresses: Vec<String> = (1..=12).map(|n| format!("fd00:{n}::7")).collect();
    let Some(namespace) = Namespace::new(&addresses) else {
        return;
    };
    let dir = Dir::new();
    let servers = ['A', 'B', 'C'];
    let servers = servers.map(|letter| {
        let path = dir.file(&letter.to_string());
        Backend::letter(At::Unix(path), letter)
    });
    let listen = At::Inet("[::1]:8000".parse().unwrap());
    let _pen = Starter::at(listen.clone())
        .listen_word("::1:8000".to_owned())
        .inside(&namespace.0)
        .args(["-h"])
        .servers(&servers)
        .start();
    let way = At::Unix(dir.file("way"));
    let caller = Starter::at(way.clone())
        .ours()
        .inside(&namespace.0)
        .control(At::Unix(dir.file("control")))
        .server(&listen)
        .start();
    let letter = |address: &String| {
        assert_eq!(caller.ask(&format!("source {address}")), "");
        Client::new(&way).letter()
    };
    let first: Vec<String> = addresses.iter().map(letter).collect();
    let found: BTreeSet<&String> = first.iter().collect();
    assert!(!found.contains(&String::new()), "{first:?}");
    assert_eq!(found.len() == 1, worse(&HASH_V6), "{first:?}");
    let again: Vec<String> = addresses.iter().map(letter).collect();
    assert_eq!(first, again);
}
