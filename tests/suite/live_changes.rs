//! What commands change while connections are there.

use crate::differences::{EMPTY_SLOT, IMPOSSIBLE, LIVE_HTTP};
use crate::stand::{Backend, Client, Host, Starter, better, letters, wait_until, worse};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;

#[test]
fn servers_come_and_go() {
    let host = Host::new();
    let backends = letters(&host, 3);
    let pen = Starter::new(&host).args(["-r"]).servers(&backends[..2]).control(host.at()).start();
    assert_eq!(pen.letters(2), "BA");
    let third = backends[2].at.inet();
    pen.ask(&format!("server 2 address {} port {}", third.ip(), third.port()));
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
    let host = Host::new();
    let backends = letters(&host, 1);
    let pen = Starter::new(&host).servers(&backends).control(host.at()).start();
    let old = pen.connect();
    assert_eq!(old.letter(), "A");
    let next = host.at();
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
    let host = Host::new();
    let backends = letters(&host, 1);
    let starter = Starter::new(&host).args(["-x", "1"]).servers(&backends).control(host.at());
    let pen = starter.expect("clients wait: all ").start();
    let first = pen.connect();
    assert_eq!(first.letter(), "A");
    let next = host.at();
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
    let host = Host::new();
    let backends = letters(&host, 1);
    let pen = Starter::new(&host).servers(&backends).control(host.at()).start();
    let client = pen.connect();
    assert_eq!(client.letter(), "A");
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
    let host = Host::new();
    let backends = letters(&host, 2);
    let pen = Starter::new(&host).servers(&backends).control(host.at()).start();
    pen.ask("idlers 4");
    wait_until("four are there", || pen.ask("idlers") == "Idlers: 4/4\n");
    wait_until("the servers share them", || [backends[0].count(), backends[1].count()] == [2, 2]);
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
    let host = Host::new();
    let backend = Backend::start(host.at(), |_| {});
    let pen = Starter::new(&host).servers([&backend]).control(host.at()).start();
    pen.ask("idlers 1");
    wait_until("it was made three times", || backend.count() >= 3);
    pen.ask("idlers 0");
}

/// Clients never stop while a script changes what there is to change.
#[test]
fn no_request_is_lost_to_a_change() {
    better!(EMPTY_SLOT);
    let host = Host::new();
    let backends = letters(&host, 3);
    let dir = crate::stand::Dir::new();
    let file = dir.file("pen.cfg");
    std::fs::write(&file, "").unwrap();
    let pen = Starter::new(&host)
        .servers(&backends[..2])
        .args(["-F", file.to_str().unwrap()])
        .control(host.at())
        .expect("reloading on HUP")
        .start();
    let third = backends[2].at.inet();
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
            let weight = round % 5 + 1;
            for line in [
                "weight".to_owned(),
                format!("server 0 weight {weight}"),
                format!("server 2 address {} port {}", third.ip(), third.port()),
                "server 0 blacklist 1".to_owned(),
                "roundrobin".to_owned(),
                "server 0 blacklist 0".to_owned(),
                "server 2 address 0.0.0.0".to_owned(),
                "no weight".to_owned(),
                "no roundrobin".to_owned(),
                "write".to_owned(),
                format!("include {}", file.display()),
            ] {
                pen.ask(&line);
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
    let host = Host::new();
    let echo = Backend::echo(host.at());
    let pen = Starter::new(&host).server(&echo.at).control(host.at()).start();
    let client = pen.connect();
    let (head, body) =
        ("POST / HTTP/1.0\r\nContent-Length: 22\r\n\r\n", "GET /part HTTP/1.0\r\n\r\n");
    client.send(head);
    assert_eq!(client.receive(head.len()), head.as_bytes());
    pen.ask("http");
    client.send(body);
    let is_as_it_was = client.receive(body.len()) == body.as_bytes();
    assert_eq!(is_as_it_was, !worse(&LIVE_HTTP));
}
