//! Many connections: the cap (`-x`), and thousands at once.

use crate::stand::{Client, Starter, is_c_pen, skipped, wait_until};
use std::io::Write;
use std::process::Command;
use std::sync::{Arc, Mutex};

/// What pen says when clients wait for a place.
const FULL: &str = "clients wait: all ";

/// At once, and then not for each of them.
#[test]
fn that_clients_wait_for_a_place_is_said_once() {
    let pen = Starter::new().args(["-x", "2"]).letters(1).expect(FULL).start();
    let mut clients = vec![pen.connect_to("A"), pen.connect_to("A")];
    // Nobody waits.
    assert!(clients[0].is_quiet() && !pen.has_said(FULL));
    clients.push(pen.connect());
    pen.says("clients wait: all 2 connections are in use");
    for _ in 0..10 {
        clients.push(pen.connect());
        clients.remove(0);
        assert_eq!(clients[1].letter(), "A");
    }
    let said = pen.times_said(FULL);
    assert!(said == 1 || is_c_pen(), "{said}");
}

#[test]
fn at_the_cap_clients_wait_for_their_turn() {
    let pen = Starter::new().args(["-x", "1"]).letters(1).expect(FULL).start();
    let first = pen.connect_to("A");
    let (second, third) = (pen.connect(), pen.connect());
    assert!(second.is_quiet() && third.is_quiet());
    // The first is not disturbed.
    first.send("\n");
    assert_eq!(first.letter(), "A");
    assert_eq!(pen.servers[0].count(), 1);
    drop(first);
    assert_eq!(second.letter(), "A");
    assert!(third.is_quiet());
    drop(second);
    assert_eq!(third.letter(), "A");
}

#[test]
fn the_cap_can_be_raised() {
    let pen = Starter::new().args(["-x", "1"]).control().letters(1).expect(FULL).start();
    let _first = pen.connect_to("A");
    let second = pen.connect();
    assert!(second.is_quiet());
    assert_eq!(pen.ask("conn_max 2"), "2\n");
    assert_eq!(second.letter(), "A");
    // It never shrinks.
    assert_eq!(pen.ask("conn_max 1"), "2\n");
}

#[test]
fn a_client_that_leaves_while_it_waits_is_no_trouble() {
    let pen = Starter::new().args(["-x", "1"]).letters(1).expect(FULL).start();
    let first = pen.connect_to("A");
    drop(pen.connect());
    let third = pen.connect();
    drop(first);
    assert_eq!(third.letter(), "A");
}

#[test]
fn a_thousand_short_connections_are_shared_evenly() {
    let pen = Starter::new().args(["-r"]).control().letters(4).start();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..250 {
                    assert_ne!(pen.letter(), "");
                }
            });
        }
    });
    for (index, server) in pen.servers.iter().enumerate() {
        assert_eq!(server.count(), 250);
        wait_until("its places are free", || pen.load(index) == 0);
    }
    let table = pen.ask("recent");
    assert!(table.starts_with("127.0.0.1 connects 1000 "), "{table}");
}

/// Lifts the soft limit on open files of this process to `wanted`, if it may
/// be that high.
fn allow_open_files(wanted: u64) -> bool {
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files"));
    let words: Vec<_> = line.unwrap().split_whitespace().collect();
    let number = |word: &str| word.parse().unwrap_or(u64::MAX);
    let (soft, hard) = (number(words[3]), number(words[4]));
    if soft >= wanted {
        return true;
    }
    let pid = std::process::id().to_string();
    let limit = format!("--nofile={hard}:{hard}");
    hard >= wanted
        && Command::new("prlimit")
            .args(["--pid", &pid, &limit])
            .status()
            .is_ok_and(|status| status.success())
}

#[test]
fn two_thousand_connections_at_once() {
    const CLIENTS: usize = 2000;
    if !allow_open_files(6000) {
        return skipped("6,000 open files are not allowed, see ulimit -n");
    }
    // One thread for all, which is the test's own.
    let accepted = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&accepted);
    let starter = Starter::new().args(["-x", "2500"]).control().serve(move |stream| {
        keep.lock().unwrap().push(stream);
    });
    let pen = starter.start();
    let mut clients: Vec<Client> = Vec::new();
    while clients.len() < CLIENTS {
        // No more at a time than the server's queue holds: what is too much
        // for it would be tried again after seconds.
        clients.extend((0..50).map(|_| pen.connect()));
        wait_until("all are connected", || accepted.lock().unwrap().len() == clients.len());
    }
    assert_eq!(pen.load(0), CLIENTS as u32);
    for stream in accepted.lock().unwrap().iter() {
        (&**stream).write_all(b"A").unwrap();
    }
    for client in &clients {
        assert_eq!(client.letter(), "A");
    }
    drop(clients);
    accepted.lock().unwrap().clear();
    wait_until("all have gone", || pen.load(0) == 0);
}
