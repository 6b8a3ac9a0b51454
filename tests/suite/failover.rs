//! When the first choice cannot be had: fail-over, the blacklist, limits, and
//! the servers for emergencies and abuse. What UDP does as well is in
//! [`crate::transports`].

use crate::differences::{ABUSE_DENIED, ACL_MASKS, BURST, DENIED, TURNED_AWAY};
use crate::stand::{Backend, Caller, Client, Starter, better, full_queue, wait_until, worse};
use std::time::{Duration, Instant};

#[test]
fn a_silent_server_is_given_up_after_the_timeout() {
    let starter = Starter::new().args(["-t", "1", "-r"]).letters(1);
    let hole = starter.host.addr();
    let _full = full_queue(hole);
    let pen = starter.operand(hole).expect("server 1").start();
    let start = Instant::now();
    assert_eq!(pen.letter(), "A");
    assert!(start.elapsed() >= Duration::from_secs(1), "too early");
    pen.says("no answer within 1 s");
    // Blacklisted now, so nobody waits again.
    let start = Instant::now();
    assert_eq!(pen.letters(4), "AAAA");
    assert!(start.elapsed() < Duration::from_secs(4), "tried again");
}

#[test]
fn a_server_made_available_by_command_is_said_to_be_up() {
    better!(REFUSED_CONNECT);
    let starter = Starter::new().args(["-r", "-b", "300"]).letters(1).control();
    let down = starter.host.at();
    let pen = starter.server(&down).expect("server 1").start();
    assert_eq!(pen.letters(2), "AA");
    pen.says("is down, next try in 300 s");
    let _up = Backend::letter(down, 'B');
    pen.ask("server 1 blacklist 0");
    wait_until("server 1 is used again", || pen.letter() == "B");
    pen.says("is up again");
}

#[test]
fn list_0_denies_clients_as_well() {
    let starter = Starter::new().args(["-O", "acl 0 deny 127.0.0.0 255.0.0.0"]);
    let pen = starter.args(["-O", "client_acl 0"]).beside("-B", 'Z').letters(1).start();
    let wanted = if worse(&ABUSE_DENIED) { "" } else { "ZZ" };
    assert_eq!(pen.letters(2), wanted);
    assert_eq!(pen.servers[0].count(), 0);
}

#[test]
fn reports_have_numbers_for_the_servers_of_last_resort() {
    let pen = Starter::new()
        .beside("-e", 'E')
        .beside("-B", 'X')
        .args(["-O", "acl 3 deny 127.0.0.1"])
        .absent()
        .control()
        .start();
    pen.ask("server 0 blacklist 100");
    for (list, letter, number) in [("0", "E", "-1"), ("3", "X", "-2")] {
        pen.ask(&format!("client_acl {list}"));
        let client = pen.connect_to(letter);
        assert!(pen.ask("connection 0").contains(&format!("server = {number}\n")));
        drop(client);
        wait_until("it is gone", || pen.ask("connection 0").contains("state = 0"));
    }
}

/// A pen with this list that says whom it denies.
fn with_list<const N: usize>(commands: [&str; N]) -> Starter {
    let starter = Starter::new().letters(1).expect("denied by the access list");
    commands.iter().fold(starter, |starter, command| starter.args(["-O", command]))
}

#[test]
fn without_an_abuse_server_they_are_closed() {
    let pen = with_list(["acl 3 deny 127.0.0.1", "client_acl 3"]).beside("-e", 'E').start();
    let wanted = if worse(&DENIED) { "EE" } else { "" };
    assert_eq!(pen.letters(2), wanted);
    assert_eq!((pen.servers[0].count(), pen.beside[0].count()), (0, wanted.len()));
}

#[test]
fn an_access_list_tells_clients_apart() {
    better!(ACL_MASKS);
    let pen = with_list(["acl 0 permit 127.0.0.2", "acl 0 deny 127.0.0.0/29"]).start();
    let letters = [1, 2, 7, 8].map(|number| pen.letter_of(number));
    assert_eq!(letters, ["", "A", "", "A"]);
}

#[test]
fn a_mask_counts_on_both_sides() {
    let pen = with_list(["acl 0 permit 127.0.0.1 255.255.255.0"]).start();
    let wanted = if worse(&ACL_MASKS) { "" } else { "AA" };
    assert_eq!(pen.letters(2), wanted);
}

#[test]
fn soft_and_hard_limits() {
    let pen = Starter::new().letters_with(["", ":1:2"]).control().start();
    let [x, y, z] = [2, 3, 4].map(|n| Caller::new(n, &pen));
    // The second of x finds the soft limit, but who was here may come to the
    // hard one; its third finds that, and makes x a client of server 0. The
    // others come in turn: 0, and then 1, which is full.
    let held = [&x, &x, &x, &y, &z].map(|caller| {
        let client = caller.connect();
        let letter = client.letter();
        (client, letter)
    });
    let round: String = held.iter().map(|(_, letter)| letter.as_str()).collect();
    assert_eq!(round, "BBAAA");
    assert_eq!((pen.load(0), pen.load(1)), (3, 2));
    drop(held);
    wait_until("the places are free again", || (pen.load(0), pen.load(1)) == (0, 0));
}

#[test]
fn who_is_turned_away_is_not_counted() {
    let starter = Starter::new().args(["-r"]).letters_with([":1", ":1"]).control();
    let pen = starter.expect("no server available").start();
    let _held = pen.hold_all(2);
    assert_eq!(pen.letter(), "");
    // So the next one gets in, too.
    let wanted = if worse(&TURNED_AWAY) { 1 } else { 2 };
    assert_eq!(pen.load(0) + pen.load(1), wanted);
}

#[test]
fn a_burst_cannot_overshoot_the_limit() {
    let starter = Starter::new().args(["-r"]).letters_with([":3", ":4"]);
    let pen = starter.expect("no server available").expect("more connections").start();
    let clients: Vec<Client> = (0..20).map(|_| pen.connect()).collect();
    let served: String = clients.iter().map(Client::letter).collect();
    if worse(&BURST) {
        assert!(served.matches('A').count() > 3, "{served}");
        return;
    }
    assert_eq!(served.matches('A').count(), 3, "{served}");
    assert_eq!(served.matches('B').count(), 4, "{served}");
}
