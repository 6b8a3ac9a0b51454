//! `explain`: which server a client would get, held against what it gets.

use crate::stand::{At, Caller, Client, Pen, Starter, better, wait_until};

/// The letter of the server that the client gets, by the last line.
fn letter(pen: &Pen, client: &str) -> String {
    let text = pen.ask(&format!("explain {client}"));
    let line = text.lines().last().unwrap();
    let what = line.strip_prefix("gets ").unwrap_or_else(|| panic!("{text}"));
    match what.split_once(" (").map_or(what, |(name, _)| name) {
        "emergency server" => "E".to_owned(),
        "abuse server" => "X".to_owned(),
        "no server" => String::new(),
        name => {
            let number: u8 = name.strip_prefix("server ").unwrap().parse().unwrap();
            char::from(b'A' + number).to_string()
        }
    }
}

#[test]
fn the_next_client_gets_what_is_explained() {
    better!(EXPLAIN);
    let starter = Starter::new().letters(3).control().expect("server ").expect("drop: ");
    let pen = starter.expect("more messages like these").start();
    let callers = [71, 72].map(|number| (number, Caller::new(number, &pen)));
    let mut held = Vec::new();
    // Asked twice, to show that asking takes no turn.
    let mut expect = |client: &str, connect: &dyn Fn() -> Client, what: &str| {
        let wanted = letter(&pen, client);
        assert_eq!(letter(&pen, client), wanted);
        let client = connect();
        assert_eq!(client.letter(), wanted, "{what}");
        held.push(client);
    };
    for line in [
        "mode",
        "roundrobin",
        "weight",
        "no roundrobin",
        "no weight",
        "prio",
        "stubborn",
        "no prio",
        "hash",
        "no stubborn",
        "forget",
        "hash_type modulo",
        "server 1 state drain",
        "server 2 state down",
        "forget",
        "roundrobin",
        "server 0 max 1",
        "server 0 hard 1",
        "no hash",
        "server 2 state ready",
        "slow_start 1000",
        "server 1 state ready",
        "no roundrobin",
        "acl 2 deny 127.0.0.71",
        "server 0 acl 2",
        "server 1 acl 2",
        "server 2 acl 2",
    ] {
        pen.ask(line);
        for _ in 0..2 {
            expect("127.0.0.1", &|| pen.connect(), line);
            for (number, caller) in &callers {
                expect(&format!("127.0.0.{number}"), &|| caller.connect(), line);
            }
        }
    }
}

#[test]
fn servers_of_need_and_those_that_are_down_are_explained() {
    better!(EXPLAIN);
    let starter = Starter::new().letters(2).beside("-e", 'E').beside("-B", 'X').control();
    let mut pen = starter.expect("server ").expect("drop: ").start();
    let last_line = |pen: &Pen, client: &str, end: &str| {
        let text = pen.ask(&format!("explain {client}"));
        assert!(text.lines().last().unwrap().ends_with(end), "{text}");
        text
    };
    let place = |at: &At| {
        let at = at.inet();
        format!("({}, port {})", at.ip(), at.port())
    };
    let (a, b) = (place(pen.servers[0].at()), place(pen.servers[1].at()));
    let (emergency, abuse) = (place(pen.beside[0].at()), place(pen.beside[1].at()));
    assert_eq!(
        pen.ask("explain 127.0.0.1"),
        format!("client_acl 0 permits 127.0.0.1\nit is unknown\ngets server 1 {b}: in turn\n")
    );
    assert_eq!(pen.letter(), "B");
    let text = last_line(&pen, "127.0.0.1", &format!("gets server 1 {b}: it was there last"));
    assert!(text.contains(" s ago and was on server 1\n"), "{text}");
    pen.ask("server 1 state maint");
    let text = last_line(&pen, "127.0.0.1", &format!("gets server 0 {a}: in turn"));
    assert!(text.contains(&format!("\nnot server 1 {b}: state maint since ")), "{text}");
    assert!(text.contains(" reason by command\n"), "{text}");
    pen.ask("server 1 state ready");
    wait_until("its first client has gone", || pen.load(1) == 0);
    pen.ask("server 1 max 1");
    pen.ask("server 1 hard 1");
    let held = pen.connect();
    assert_eq!(held.letter(), "B");
    let text = last_line(&pen, "127.0.0.9", &format!("gets server 0 {a}: in turn"));
    assert!(text.contains(&format!("\nnot server 1 {b}: full, 1 of 1\n")), "{text}");
    pen.end_server(0);
    assert_eq!(pen.letter(), "E");
    let text = last_line(&pen, "127.0.0.1", &format!("{emergency}: no other server takes it"));
    assert!(text.contains(&format!("\nnot server 0 {a}: state down since ")), "{text}");
    assert!(text.contains(" reason Connection refused"), "{text}");
    pen.ask("acl 3 deny 127.0.0.1");
    pen.ask("client_acl 3");
    let text = last_line(&pen, "127.0.0.1", &format!("gets abuse server {abuse}: it is denied"));
    assert!(text.starts_with("client_acl 3 denies 127.0.0.1\n"), "{text}");
    assert_eq!(pen.letter(), "X");
    pen.ask("abuse 0");
    last_line(&pen, "127.0.0.1", "gets no server");
    assert_eq!(pen.letter(), "");
}

#[test]
fn flows_are_explained() {
    better!(EXPLAIN);
    let pen = Starter::new().udp().args(["-r"]).letters(2).control().start();
    let client = pen.asker();
    let own = format!("{} {}", client.addr().ip(), client.addr().port());
    for _ in 0..3 {
        let wanted = letter(&pen, &own);
        assert_eq!(client.letter(), wanted);
    }
    assert!(pen.ask(&format!("explain {own}")).ends_with(": it has a flow there\n"));
    assert!(pen.ask("explain 127.0.0.1 1").ends_with(": in turn\n"));
}
