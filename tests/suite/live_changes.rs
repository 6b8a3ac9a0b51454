//! What commands change while connections are there.

use crate::differences::{EMPTY_SLOT, IMPOSSIBLE, LIVE_HTTP};
use crate::stand::{Backend, Client, Starter, better, wait_until, worse};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

#[test]
fn servers_come_and_go() {
    let pen = Starter::new().args(["-r"]).letters(2).control().start();
    let third = Backend::letter(pen.host.at(), 'C');
    assert_eq!(pen.letters(2), "BA");
    pen.ask(&format!("server 2 {}", third.at.words()));
    assert_eq!(pen.letters(3), "BCA");
    pen.ask("server 1 blacklist 1000");
    assert_eq!(pen.letters(4), "CACA");
    pen.ask("server 1 blacklist 0");
    assert_eq!(pen.letters(3), "BCA");
    if !better(&EMPTY_SLOT) {
        // The two ways to delete a server.
        pen.ask("server 1 port 0");
        pen.ask("server 2 address 0.0.0.0");
        assert_eq!(pen.letters(3), "AAA");
    }
}

#[test]
fn a_move_keeps_connections_and_those_who_queue() {
    let pen = Starter::new().letters(1).control().start();
    let old = pen.connect_to("A");
    let next = pen.host.at();
    assert_eq!(pen.ask(&format!("listen {next}")), format!("{next}\n"));
    assert_eq!(Client::new(&next).letter(), "A");
    wait_until("the old place is closed", || pen.at.connect().is_err());
    old.send("more\n");
    assert_eq!(old.letter(), "A");
    assert_eq!(pen.ask(&format!("listen {}", pen.at)), format!("{}\n", pen.at));
    assert_eq!(pen.letter(), "A");
    if !better(&IMPOSSIBLE) {
        let reply = pen.ask("listen 192.0.2.1:80");
        assert!(reply.starts_with("192.0.2.1:80: cannot listen"), "{reply}");
        assert_eq!(pen.letter(), "A");
        assert_eq!(pen.ask("listen"), format!("{}\n", pen.at));
    }
}

#[test]
fn a_move_is_possible_with_all_slots_taken() {
    let starter = Starter::new().args(["-x", "1"]).letters(1).control();
    let pen = starter.expect("clients wait: all ").start();
    let first = pen.connect_to("A");
    let next = pen.host.at();
    pen.ask(&format!("listen {next}"));
    let second = Client::new(&next);
    drop(first);
    assert_eq!(second.letter(), "A");
    // The table can grow, and lets the next one in at once.
    let third = Client::new(&next);
    assert!(third.is_quiet());
    assert_eq!(pen.ask("conn_max 2"), "2\n");
    assert_eq!(third.letter(), "A");
}

#[test]
fn close_ends_a_connection() {
    let pen = Starter::new().letters(1).control().start();
    let client = pen.connect_to("A");
    let shown = pen.ask("connection 0");
    assert!(shown.contains("state = 2\n"), "{shown}");
    assert_eq!(pen.ask("close 0"), "Forcibly closing connection 0\n");
    assert!(client.ends());
    wait_until("it is gone", || pen.ask("connection 0").contains("state = 0"));
    wait_until("it is not counted", || pen.ask("servers").contains(" conn 0 "));
}

#[test]
fn idlers_are_kept_and_let_go() {
    better!(IDLERS);
    let pen = Starter::new().letters(2).control().start();
    pen.ask("idlers 4");
    wait_until("four are there", || pen.ask("idlers") == "Idlers: 4/4\n");
    wait_until("the servers share them", || pen.servers.iter().all(|server| server.count() == 2));
    let servers = pen.ask("servers");
    assert_eq!(servers.matches(" conn 2 ").count(), 2, "{servers}");
    pen.ask("idlers 1");
    wait_until("one is left", || pen.ask("idlers") == "Idlers: 1/1\n");
    pen.ask("idlers 0");
    wait_until("none is left", || pen.ask("idlers") == "Idlers: 0/0\n");
    wait_until("none is counted", || pen.ask("servers").matches(" conn 0 ").count() == 2);
}

/// An idle connection that its server closes is made again.
#[test]
fn idlers_come_back() {
    better!(IDLERS);
    let pen = Starter::new().serve(|_| {}).control().start();
    pen.ask("idlers 1");
    wait_until("it was made three times", || pen.servers[0].count() >= 3);
    pen.ask("idlers 0");
}

/// Clients never stop while a script changes what there is to change.
#[test]
fn no_request_is_lost_to_a_change() {
    better!(EMPTY_SLOT);
    let pen = Starter::new().letters(2).config("").control().start();
    let third = Backend::letter(pen.host.at(), 'C');
    let (stop, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while !stop.load(SeqCst) {
                    let letter = pen.letter();
                    assert!("ABC".contains(&letter) && !letter.is_empty(), "{letter}");
                    served.fetch_add(1, SeqCst);
                }
            });
        }
        for round in 0..200 {
            let before = served.load(SeqCst);
            for line in [
                "weight",
                &format!("server 0 weight {}", round % 5 + 1),
                &format!("server 2 {}", third.at.words()),
                "server 0 blacklist 1",
                "roundrobin",
                "server 0 blacklist 0",
                "server 2 address 0.0.0.0",
                "no weight",
                "no roundrobin",
                "write",
                &format!("include {}", pen.file("pen.cfg").display()),
            ] {
                pen.ask(line);
            }
            pen.signal("HUP");
            wait_until("clients are served", || served.load(SeqCst) > before);
        }
        stop.store(true, SeqCst);
    });
    assert_eq!(pen.ask("idlers"), "Idlers: 0/0\n");
    wait_until("all are counted out", || pen.ask("servers").matches(" conn 0 ").count() == 3);
}

/// pen has not followed the requests of a connection from its start.
#[test]
fn http_counts_for_new_connections() {
    let pen = Starter::new().echo().control().start();
    let client = pen.connect();
    let (head, body) =
        ("POST / HTTP/1.0\r\nContent-Length: 22\r\n\r\n", "GET /part HTTP/1.0\r\n\r\n");
    client.echoes(head);
    pen.ask("http");
    client.send(body);
    let is_as_it_was = client.receive(body.len()) == body.as_bytes();
    assert_eq!(is_as_it_was, !worse(&LIVE_HTTP));
}
