//! Running out of descriptors and of threads, and giving threads back.

use crate::harness::{
    Client, Pen, Place, Starter, is_root, letters, skip_on_c, skipped, wait_for, wait_until,
};
use std::time::Duration;

/// How many connections pen says its descriptors suffice for.
fn sufficient(pen: &Pen) -> usize {
    let messages = pen.messages();
    let told = messages
        .iter()
        .find_map(|line| line.split_once("suffice for "));
    let (_, rest) = told.expect("a message about descriptors");
    rest.split(' ').next().unwrap().parse().unwrap()
}

#[test]
fn with_few_descriptors_clients_wait() {
    if skip_on_c() {
        return;
    }
    let place = Place::new();
    let servers = letters(&place, 1);
    let pen = Starter::new(&place)
        .under("ulimit -n 60")
        .servers(&servers)
        .control(place.at())
        .expect("60 open files suffice for")
        .start();
    pen.says("not 500 (-x)");
    let room = sufficient(&pen);
    assert!((5..30).contains(&room), "{room}");
    let mut clients: Vec<Client> = (0..room + 10).map(|_| pen.connect()).collect();
    let waiting = clients.split_off(room);
    for client in &clients {
        assert_eq!(client.letter(), "A");
    }
    assert!(waiting[0].is_quiet());
    assert_eq!(pen.load(0) as usize, room);
    // One leaves, one comes in, and nobody is lost.
    for client in waiting {
        clients.remove(0);
        assert_eq!(client.letter(), "A");
        clients.push(client);
    }
    assert_eq!(servers[0].count(), room + 10);
}

#[test]
fn a_cap_that_fits_is_not_mentioned() {
    if skip_on_c() {
        return;
    }
    let place = Place::new();
    let servers = letters(&place, 1);
    let pen = Starter::new(&place)
        .under("ulimit -n 60")
        .args(["-x", "8"])
        .servers(&servers)
        .start();
    assert_eq!(pen.letter(), "A");
}

#[test]
fn without_threads_to_be_had_clients_are_turned_away() {
    if skip_on_c() {
        return;
    }
    if !is_root() {
        return skipped("the limit on threads counts the user's other processes too");
    }
    let place = Place::new();
    let servers = letters(&place, 1);
    // The limit binds users, not root; this user has no other processes.
    let user = (3_000_000 + std::process::id()).to_string();
    let pen = Starter::new(&place)
        // bash and dash have different letters for it.
        .under("ulimit -u 20 2>/dev/null || ulimit -p 20")
        .args(["-u", &user])
        .servers(&servers)
        .expect("cannot start a thread")
        .expect("more connections")
        .start();
    let clients: Vec<Client> = (0..40).map(|_| pen.connect()).collect();
    let letters: Vec<String> = clients.iter().map(Client::letter).collect();
    let served = letters.iter().filter(|letter| *letter == "A").count();
    // Two threads each, and a few for pen itself.
    assert!((4..=10).contains(&served), "{served} of 40 are served");
    pen.says("cannot start a thread");
    // Who is served notices nothing, and when they leave there is room again.
    let held: Vec<_> = clients
        .iter()
        .zip(&letters)
        .filter_map(|(client, letter)| (letter == "A").then_some(client))
        .collect();
    for client in held {
        client.send("\n");
        assert_eq!(client.letter(), "A");
    }
    drop(clients);
    wait_until("there is room again", || pen.letter() == "A");
}

fn threads(pen: &Pen) -> u64 {
    pen.status().number("Threads")
}

#[test]
fn idle_threads_leave() {
    if skip_on_c() {
        return;
    }
    let place = Place::new();
    let servers = letters(&place, 1);
    let reload = "reloading on HUP";
    let starter = Starter::new(&place).servers(&servers).expect(reload);
    let pen = starter.start();
    // The last thread of its own to start is the one that does this.
    pen.signal("HUP");
    pen.says(reload);
    let before = threads(&pen);
    let clients: Vec<Client> = (0..50).map(|_| pen.connect()).collect();
    assert!(clients.iter().all(|client| client.letter() == "A"));
    assert!(threads(&pen) >= before + 50);
    drop(clients);
    wait_for(Duration::from_secs(40), "the threads leave", || {
        threads(&pen) <= before
    });
    assert_eq!(pen.letter(), "A");
}
