//! The hash of IPv6 addresses. It takes a few, which a network namespace can
//! have; clients and servers reach pen there by Unix sockets, see
//! [`crate::transparent`].

use crate::differences::HASH_V6;
use crate::stand::{At, Backend, Client, Dir, Namespace, Starter, worse};
use std::collections::BTreeSet;

#[test]
fn all_of_the_address_counts() {
    // The same last byte.
    let addresses: Vec<String> = (1..=12).map(|n| format!("fd00:{n}::7")).collect();
    let Some(namespace) = Namespace::new() else { return };
    for address in &addresses {
        namespace.ip(&format!("addr add {address}/128 dev lo nodad"));
    }
    let dir = Dir::new();
    let servers = ['A', 'B', 'C'];
    let servers = servers.map(|letter| {
        let path = dir.file(&letter.to_string());
        Backend::letter(At::Unix(path), letter)
    });
    let listen = At::Inet("[::1]:8000".parse().unwrap());
    let _pen = Starter::at(listen.clone())
        .listen_word("::1:8000".to_owned())
        .inside(&namespace.name)
        .args(["-h"])
        .servers(&servers)
        .start();
    let way = At::Unix(dir.file("way"));
    let caller = Starter::at(way.clone())
        .ours()
        .inside(&namespace.name)
        .control_at(At::Unix(dir.file("control")))
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
