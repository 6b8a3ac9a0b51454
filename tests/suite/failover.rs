//! When the first choice cannot be had: fail-over, the blacklist, limits, and
//! the servers for emergencies and abuse.

use crate::differences::{ABUSE_DENIED, ACL_MASKS, BURST, DENIED, TURNED_AWAY};
use crate::stand::{
    Backend, Caller, Client, Host, Pen, Starter, better, full_queue, letters, wait_until, worse,
};
use std::time::{Duration, Instant};

#[test]
fn a_silent_server_is_given_up_after_the_timeout() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let hole = host.addr();
    let _full = full_queue(hole);
    let pen = Starter::new(&host)
        .args(["-t", "1", "-r"])
        .servers(&servers)
        .operand(hole.to_string())
        .expect("server 1")
        .start();
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
    let host = Host::new();
    let servers = letters(&host, 1);
    let down = host.at();
    let pen = Starter::new(&host)
        .args(["-r", "-b", "300"])
        .servers(&servers)
        .server(&down)
        .control(host.at())
        .expect("server 1")
        .start();
    assert_eq!(pen.letters(2), "AA");
    pen.says("is down for 300 s");
    let _up = Backend::letter(down, 'B');
    pen.ask("server 1 blacklist 0");
    wait_until("server 1 is used again", || pen.letter() == "B");
    pen.says("is up again");
}

#[test]
fn denied_clients_go_to_the_abuse_server() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let abuse = Backend::letter(host.at(), 'Z');
    for list in [3, 0] {
        let pen = Starter::new(&host)
            .args(["-B", &abuse.at.to_string()])
            .args(["-O", &format!("acl {list} deny 127.0.0.0 255.0.0.0")])
            .args(["-O", &format!("client_acl {list}")])
            .servers(&servers)
            .start();
        let wanted = match list {
            0 if worse(&ABUSE_DENIED) => "",
            _ => "ZZ",
        };
        assert_eq!(pen.letters(2), wanted, "list {list}");
    }
    assert_eq!(servers[0].count(), 0);
}

#[test]
fn reports_have_numbers_for_the_servers_of_last_resort() {
    let host = Host::new();
    let (emergency, abuse) = (Backend::letter(host.at(), 'E'), Backend::letter(host.at(), 'X'));
    let pen = Starter::new(&host)
        .args(["-e", &emergency.at.to_string(), "-B", &abuse.at.to_string()])
        .args(["-O", "acl 3 deny 127.0.0.1"])
        .server(&host.at())
        .control(host.at())
        .start();
    pen.ask("server 0 blacklist 100");
    for (list, letter, number) in [("0", "E", "-1"), ("3", "X", "-2")] {
        pen.ask(&format!("client_acl {list}"));
        let client = pen.connect();
        assert_eq!(client.letter(), letter);
        assert!(pen.ask("connection 0").contains(&format!("server = {number}\n")));
        drop(client);
        wait_until("it is gone", || pen.ask("connection 0").contains("state = 0"));
    }
}

#[test]
fn without_an_abuse_server_they_are_closed() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let emergency = Backend::letter(host.at(), 'E');
    let pen = Starter::new(&host)
        .args(["-e", &emergency.at.to_string()])
        .args(["-O", "acl 3 deny 127.0.0.1", "-O", "client_acl 3"])
        .servers(&servers)
        .expect("denied by the access list")
        .start();
    let wanted = if worse(&DENIED) { "EE" } else { "" };
    assert_eq!(pen.letters(2), wanted);
    assert_eq!((servers[0].count(), emergency.count()), (0, wanted.len()));
}

#[test]
fn an_access_list_tells_clients_apart() {
    better!(ACL_MASKS);
    let host = Host::new();
    let servers = letters(&host, 1);
    let pen = Starter::new(&host)
        .args(["-O", "acl 0 permit 127.0.0.2", "-O", "acl 0 deny 127.0.0.0/29"])
        .servers(&servers)
        .expect("denied by the access list")
        .start();
    assert_eq!(pen.letter(), "", "127.0.0.1");
    for (number, letter) in [(2, "A"), (7, ""), (8, "A")] {
        let caller = Caller::new(&host, number, &pen);
        assert_eq!(caller.letter(), letter, "127.0.0.{number}");
    }
}

#[test]
fn a_mask_counts_on_both_sides() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let pen = Starter::new(&host)
        .args(["-O", "acl 0 permit 127.0.0.1 255.255.255.0"])
        .servers(&servers)
        .expect("denied by the access list")
        .start();
    let wanted = if worse(&ACL_MASKS) { "" } else { "AA" };
    assert_eq!(pen.letters(2), wanted);
}

/// A connection that stays, and its server.
fn hold(connect: impl Fn() -> Client) -> (Client, String) {
    let client = connect();
    let letter = client.letter();
    (client, letter)
}

#[test]
fn soft_and_hard_limits() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let pen = Starter::new(&host)
        .server(&servers[0].at)
        .operand(format!("{}:1:2", servers[1].at))
        .control(host.at())
        .start();
    let [x, y, z] = [2, 3, 4].map(|n| Caller::new(&host, n, &pen));
    let mut held = vec![hold(|| x.connect())];
    // At the soft limit now, but who was here may come to the hard one.
    held.push(hold(|| x.connect()));
    // At the hard limit. From now on x is a client of server 0.
    held.push(hold(|| x.connect()));
    // In turn: 0, and then 1, which is full.
    held.push(hold(|| y.connect()));
    held.push(hold(|| z.connect()));
    let round: String = held.iter().map(|(_, letter)| letter.as_str()).collect();
    assert_eq!(round, "BBAAA");
    assert_eq!((pen.load(0), pen.load(1)), (3, 2));
    held.clear();
    wait_until("the places are free again", || (pen.load(0), pen.load(1)) == (0, 0));
}

#[test]
fn full_everywhere_is_an_emergency() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let emergency = Backend::letter(host.at(), 'E');
    let mut starter = Starter::new(&host).args(["-r", "-e", &emergency.at.to_string()]);
    for server in &servers {
        starter = starter.operand(format!("{}:1", server.at));
    }
    let pen = starter.control(host.at()).start();
    let mut held: Vec<_> = (0..4).map(|_| hold(|| pen.connect())).collect();
    let round: String = held.iter().map(|(_, letter)| letter.as_str()).collect();
    assert_eq!(round, "BAEE");
    drop(held.remove(0));
    wait_until("server 1 has room", || pen.load(1) == 0);
    assert_eq!(hold(|| pen.connect()).1, "B");
}

#[test]
fn who_is_turned_away_is_not_counted() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let mut starter = Starter::new(&host).args(["-r"]);
    for server in &servers {
        starter = starter.operand(format!("{}:1", server.at));
    }
    let pen = starter.control(host.at()).expect("no server available").start();
    let held: Vec<_> = (0..2).map(|_| hold(|| pen.connect())).collect();
    assert_eq!(pen.letter(), "");
    // So the next one gets in, too.
    let wanted = if worse(&TURNED_AWAY) { 1 } else { 2 };
    assert_eq!(pen.load(0) + pen.load(1), wanted);
    drop(held);
}

#[test]
fn a_burst_cannot_overshoot_the_limit() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let pen: Pen = Starter::new(&host)
        .args(["-r"])
        .operand(format!("{}:3", servers[0].at))
        .operand(format!("{}:4", servers[1].at))
        .expect("no server available")
        .expect("more connections")
        .start();
    let clients: Vec<Client> = (0..20).map(|_| pen.connect()).collect();
    let served: String = clients.iter().map(Client::letter).collect();
    if worse(&BURST) {
        assert!(served.matches('A').count() > 3, "{served}");
        return;
    }
    assert_eq!(served.matches('A').count(), 3, "{served}");
    assert_eq!(served.matches('B').count(), 4, "{served}");
}
