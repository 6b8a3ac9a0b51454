//! Running out of descriptors and of threads, and giving threads back.

use crate::differences::{DESCRIPTORS, PENDING, WORK};
use crate::harness::{
    Client, Pen, Place, Starter, better, full_queue, is_root, letters, skipped, wait_for,
    wait_until, worse,
};
use std::time::{Duration, Instant};

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
    if better(&DESCRIPTORS) {
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
    let place = Place::new();
    let servers = letters(&place, 1);
    let pen = Starter::new(&place)
        .under("ulimit -n 60")
        .args(["-x", "8"])
        .servers(&servers)
        .start();
    assert_eq!(pen.letter(), "A");
}

/// A pen that may have `limit` threads, as a user who has no other processes:
/// the limit binds users, not root. Nothing is said but that clients wait.
fn with_few_threads(starter: Starter, limit: &'static str) -> Starter {
    let user = (3_000_000 + std::process::id()).to_string();
    starter
        // bash and dash have different letters for it.
        .under(limit)
        .args(["-u", &user])
        .expect("clients wait: cannot start a thread")
}

#[test]
fn without_threads_to_be_had_clients_wait() {
    if better(&WORK) {
        return;
    }
    if !is_root() {
        return skipped("the limit on threads counts the user's other processes too");
    }
    let place = Place::new();
    let servers = letters(&place, 1);
    let starter = Starter::new(&place).servers(&servers);
    let pen = with_few_threads(starter, "ulimit -u 20 2>/dev/null || ulimit -p 20").start();
    let clients: Vec<Client> = (0..40).map(|_| pen.connect()).collect();
    pen.says("clients wait: cannot start a thread");
    // Each has two threads or none: it is served for good, or waits.
    for client in &clients[..5] {
        assert_eq!(client.letter(), "A");
        client.send("\n");
    }
    let before = ticks(&pen);
    assert!(clients[20].is_quiet());
    assert!(ticks(&pen) <= before + 10, "it is busy waiting");
    // One leaves, one comes in.
    for client in clients {
        assert_eq!(client.letter(), "A");
    }
    assert_eq!(servers[0].count(), 40);
}

fn threads(pen: &Pen) -> u64 {
    pen.status().number("Threads")
}

#[test]
fn idle_threads_leave() {
    if better(&WORK) {
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

/// Processor time that pen has had, in ticks of the kernel: a hundredth of a
/// second.
fn ticks(pen: &Pen) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pen.pid())).unwrap();
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let words: Vec<&str> = rest.split(' ').collect();
    words[11].parse::<u64>().unwrap() + words[12].parse::<u64>().unwrap()
}

#[test]
fn pending_connects_cost_nothing() {
    let place = Place::new();
    let hole = place.addr();
    let _full = full_queue(hole);
    let pen = Starter::new(&place)
        .args(["-t", "60"])
        .operand(hole.to_string())
        .start();
    let clients: Vec<Client> = (0..150).map(|_| pen.connect()).collect();
    if worse(&PENDING) {
        let before = ticks(&pen);
        wait_until("it is busy", || ticks(&pen) > before + 30);
        return;
    }
    let second = Duration::from_secs(1);
    let mut last = (ticks(&pen), Instant::now());
    wait_until("it is at rest for a second", || {
        let now = ticks(&pen);
        if now > last.0 + 2 {
            last = (now, Instant::now());
        }
        last.1.elapsed() > second
    });
    drop(clients);
}
