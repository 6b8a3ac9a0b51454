//! Checks of servers, and what they find out before any client does.

use crate::stand::{Backend, Caller, Client, Host, Pen, Starter, better, full_queue, wait_until};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

/// Waits until the line of a server in `servers` has these words.
pub(crate) fn is(pen: &Pen, server: usize, words: &str) {
    wait_until(format!("server {server} is {words}"), || {
        let list = pen.ask("servers");
        list.lines().nth(server).unwrap_or_default().contains(&format!(" state {words}"))
    });
}

/// Its first check may be over before anything else of the start is.
#[test]
fn a_server_that_is_dead_from_the_start_is_said_each_time() {
    better!(CHECKS);
    let start = || {
        let starter = Starter::new().absent().absent().absent().config("check 1\n");
        let pen = starter.expect(" is down: ").start();
        wait_until("all are said", || pen.times_said(" is down: ") == 3);
    };
    // A busy machine, on which threads wait for one another.
    std::thread::scope(|scope| {
        for _ in 0..10 {
            scope.spawn(|| (0..5).for_each(|_| start()));
        }
    });
}

#[test]
fn servers_that_are_dead_from_the_start_are_known_without_a_client() {
    better!(CHECKS);
    let mut pen = Starter::new().letters(1).absent().web().expect(" is down: ").start();
    is(&pen, 0, "untried");
    assert_eq!(pen.get("/healthz").status, 200);
    pen.ask("check 1");
    is(&pen, 1, "down since");
    is(&pen, 0, "up");
    let line = pen.ask("servers").lines().nth(1).unwrap().to_owned();
    assert!(line.contains(" reason Connection refused"), "{line}");
    pen.says("server 1 ");
    assert_eq!(pen.get("/healthz").status, 200);
    pen.end_server(0);
    is(&pen, 0, "down");
    assert_eq!(pen.get("/healthz").status, 503);
    let metrics = pen.get("/metrics").body;
    let count = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((count("pen_server_up{"), metrics.matches("state=\"down\"} 1").count()), (2, 2));
    // No client was used, and none was counted.
    let status = pen.get("/status.json");
    assert_eq!(status.member("\"totals\":", "connects"), "0");
    assert_eq!(status.member("\"outcomes\":", "accepted"), "0");
}

#[test]
fn a_client_takes_a_server_out_and_only_checks_bring_it_back() {
    better!(CHECKS);
    // The next check comes too late to be of use.
    let mut pen = Starter::new()
        .control()
        .args(["-b", "0", "-O", "check 3600", "-O", "check_rise 1"])
        .letters(1)
        .expect("server 0")
        .expect("no server available")
        .start();
    let at = pen.end_server(0);
    assert_eq!(pen.letter(), "");
    is(&pen, 0, "down");
    pen.start_server(at, 'A');
    // It is the last resort, and stays down all the same.
    assert_eq!(pen.letter(), "A");
    is(&pen, 0, "down");
    pen.ask("check 1");
    is(&pen, 0, "up");
    pen.says("is up again");
}

#[test]
fn a_server_that_does_not_answer_is_late() {
    better!(CHECKS);
    let starter = Starter::new().control().args(["-O", "check 1", "-O", "check_timeout 1"]);
    let hole = starter.host.addr();
    let _full = full_queue(hole);
    let pen = starter.operand(hole).expect("server 0").start();
    is(&pen, 0, "down");
    let line = pen.ask("servers");
    assert!(line.contains("reason no answer within 1 s"), "{line}");
}

#[test]
fn without_checks_a_server_that_was_down_is_tried_by_a_client() {
    better!(CHECKS);
    let starter = Starter::new().control().args(["-O", "check 1"]);
    let dead = starter.host.at();
    let pen = starter.server(&dead).expect("server 0").start();
    is(&pen, 0, "down");
    pen.ask("check 0");
    is(&pen, 0, "failing");
    let _server = Backend::letter(dead, 'A');
    assert_eq!(pen.letter(), "A");
    is(&pen, 0, "up");
}

/// What operators say of a server, and who gets it then.
#[test]
fn operators_take_servers_out() {
    better!(CHECKS);
    let pen = Starter::new().control().letters(2).expect("server 1").start();
    let old = Caller::new(200, &pen);
    assert_eq!(old.letter(), "B");
    pen.ask("server 1 state drain");
    is(&pen, 1, "drained");
    assert_eq!(old.letter(), "B");
    assert_eq!(pen.letters_of([201, 202]), "AA");
    for (word, state) in [("maint", "maint"), ("down", "down")] {
        let before: Client = old.connect();
        pen.ask("server 1 state ready");
        let now = pen.letter_of(210);
        assert!(["A", "B"].contains(&&*now));
        pen.ask("server 1 blacklist 0");
        pen.ask(&format!("server 1 state {word}"));
        is(&pen, 1, state);
        assert_eq!(old.letter(), "A");
        // It goes on where it was.
        assert_ne!(before.letter(), "");
    }
    let text = pen.written();
    assert!(text.contains(" state down\n"), "{text}");
    assert!(pen.ask("server 1 state up").contains("up: neither ready"));
    pen.ask("server 1 state ready");
    is(&pen, 1, "up");
}

/// What came back gets few clients at first, and more and more.
#[test]
fn a_server_that_came_back_starts_slowly() {
    better!(CHECKS);
    let starter = Starter::new().control().args(["-r", "-O", "slow_start 1000"]).letters(2);
    let pen = starter.expect("server ").start();
    assert_eq!(pen.letters(4), "BABA");
    pen.ask("server 1 state maint");
    pen.ask("server 1 state ready");
    assert_eq!(pen.letters(20).matches('B').count(), 0);
    pen.ask("slow_start 0");
    assert_eq!(pen.letters(20).matches('B').count(), 10);
    // Nobody is turned away, if it is the only one.
    pen.ask("slow_start 1000");
    pen.ask("server 0 state maint");
    assert_eq!(pen.letters(2), "BB");
}

#[test]
fn a_server_that_moves_during_a_check_is_checked_there() {
    better!(CHECKS);
    let host = Host::new();
    let hole = host.at();
    let _full = full_queue(hole.inet());
    let server = Backend::letter(host.at(), 'A');
    let pen = Starter::new()
        .control()
        .args(["-O", "check 1", "-O", "check_timeout 600"])
        .server(&hole)
        .start();
    is(&pen, 0, "untried");
    pen.ask(&format!("server 0 port {}", server.at.inet().port()));
    is(&pen, 0, "up");
}

/// Clients connect without end while a server dies: those that are on their way to it
/// get another one.
#[test]
fn a_server_that_dies_under_load_costs_nobody_anything() {
    better!(CHECKS);
    let mut pen = Starter::new()
        .control()
        .args(["-r", "-O", "check 1", "-O", "check_fall 1"])
        .letters(3)
        .expect("server 1 ")
        .start();
    is(&pen, 1, "up");
    let at = pen.at.clone();
    let is_over = Arc::new(AtomicBool::new(false));
    let load = {
        let is_over = Arc::clone(&is_over);
        std::thread::spawn(move || {
            let (mut served, mut lost) = (0, 0);
            while !is_over.load(SeqCst) {
                match Client::new(&at).letter().is_empty() {
                    true => lost += 1,
                    false => served += 1,
                }
            }
            (served, lost)
        })
    };
    pen.end_server(1);
    is(&pen, 1, "down");
    pen.letters(20);
    is_over.store(true, SeqCst);
    let (served, lost) = load.join().unwrap();
    // The one that was in flight may be lost.
    assert!(served > 20 && lost <= 1, "served {served}, lost {lost}");
}

/// What a command has taken out and another one puts back has not gone down.
#[test]
fn the_end_of_a_blacklist_is_no_failure() {
    better!(CHECKS);
    let pen = Starter::new()
        .control()
        .args(["-O", "on_down cut"])
        .absent()
        .expect("server 0 ")
        .expect("no server available")
        .start();
    assert_eq!(pen.letter(), "");
    pen.says("is down, next try in 30 s: Connection refused");
    pen.ask("server 0 blacklist 60");
    is(&pen, 0, "drained");
    pen.ask("server 0 blacklist 0");
    is(&pen, 0, "failing");
    assert_eq!(pen.times_said("is down"), 1);
}
