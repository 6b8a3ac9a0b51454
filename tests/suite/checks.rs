//! Checks of servers, and what they find out before any client does.

use crate::stand::{
    Backend, Caller, Client, Dir, Host, Pen, Starter, better, full_queue, get, letters, wait_until,
};
use crate::web::with_web;

/// Waits until the line of a server in `servers` has these words.
fn is(pen: &Pen, server: usize, words: &str) {
    let mut line = String::new();
    wait_until(format!("server {server} is {words}"), || {
        line = pen.ask("servers").lines().nth(server).unwrap_or_default().to_owned();
        line.contains(&format!(" state {words}"))
    });
}

#[test]
fn servers_that_are_dead_from_the_start_are_known_without_a_client() {
    better!(CHECKS);
    let host = Host::new();
    let backends = letters(&host, 1);
    let dead = host.at();
    let starter = Starter::new(&host).servers(&backends).server(&dead).expect(" is down: ");
    let (pen, web) = with_web(&host, starter);
    is(&pen, 0, "untried");
    assert_eq!(get(&web, "/healthz").status, 200);
    pen.ask("check 1");
    is(&pen, 1, "down since");
    is(&pen, 0, "up");
    let line = pen.ask("servers").lines().nth(1).unwrap().to_owned();
    assert!(line.contains(" reason Connection refused"), "{line}");
    pen.says("server 1 ");
    assert_eq!(get(&web, "/healthz").status, 200);
    drop(backends);
    is(&pen, 0, "down");
    assert_eq!(get(&web, "/healthz").status, 503);
    let metrics = get(&web, "/metrics").body;
    let count = |name: &str| metrics.lines().filter(|line| line.starts_with(name)).count();
    assert_eq!((count("pen_server_up{"), metrics.matches("state=\"down\"} 1").count()), (2, 2));
    // No client was used, and none was counted.
    let status = get(&web, "/status.json");
    assert_eq!(status.member("\"totals\":", "connects"), "0");
    assert_eq!(status.member("\"outcomes\":", "accepted"), "0");
}

#[test]
fn a_client_takes_a_server_out_and_only_checks_bring_it_back() {
    better!(CHECKS);
    let host = Host::new();
    let at = host.at();
    let server = Backend::letter(at.clone(), 'A');
    // The next check comes too late to be of use.
    let pen = Starter::new(&host)
        .control(host.at())
        .args(["-b", "0", "-O", "check 3600", "-O", "check_rise 1"])
        .servers(&[server])
        .expect("server 0")
        .expect("no server available")
        .start();
    assert_eq!(pen.letter(), "");
    is(&pen, 0, "down");
    let _again = Backend::letter(at, 'A');
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
    let host = Host::new();
    let at = host.at();
    let _full = full_queue(at.inet());
    let pen = Starter::new(&host)
        .control(host.at())
        .args(["-O", "check 1", "-O", "check_timeout 1"])
        .server(&at)
        .expect("server 0")
        .start();
    is(&pen, 0, "down");
    let line = pen.ask("servers");
    assert!(line.contains("reason no answer within 1 s"), "{line}");
}

#[test]
fn without_checks_a_server_that_was_down_is_tried_by_a_client() {
    better!(CHECKS);
    let host = Host::new();
    let dead = host.at();
    let pen = Starter::new(&host)
        .control(host.at())
        .args(["-O", "check 1"])
        .server(&dead)
        .expect("server 0")
        .start();
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
    let host = Host::new();
    let backends = letters(&host, 2);
    let pen = Starter::new(&host).control(host.at()).servers(&backends).expect("server 1").start();
    let new = |number: u8| Caller::new(&host, number, &pen);
    let old = new(200);
    assert_eq!(old.letter(), "B");
    pen.ask("server 1 state drain");
    is(&pen, 1, "drained");
    assert_eq!(old.letter(), "B");
    assert_eq!([new(201).letter(), new(202).letter()], ["A", "A"]);
    for (word, state) in [("maint", "maint"), ("down", "down")] {
        let before: Client = old.connect();
        pen.ask("server 1 state ready");
        let now = new(210).letter();
        assert!(["A", "B"].contains(&&*now));
        pen.ask("server 1 blacklist 0");
        pen.ask(&format!("server 1 state {word}"));
        is(&pen, 1, state);
        assert_eq!(old.letter(), "A");
        // It goes on where it was.
        assert_ne!(before.letter(), "");
    }
    let dir = Dir::new();
    let saved = dir.file("saved");
    pen.ask(&format!("write {}", saved.display()));
    let text = std::fs::read_to_string(saved).unwrap();
    assert!(text.contains(" state down\n"), "{text}");
    assert!(pen.ask("server 1 state up").contains("up: neither ready"));
    pen.ask("server 1 state ready");
    is(&pen, 1, "up");
}

/// What came back gets few clients at first, and more and more.
#[test]
fn a_server_that_came_back_starts_slowly() {
    better!(CHECKS);
    let host = Host::new();
    let backends = letters(&host, 2);
    let pen = Starter::new(&host)
        .control(host.at())
        .args(["-r", "-O", "slow_start 1000"])
        .servers(&backends)
        .expect("server ")
        .start();
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
