//! Servers that are restarted, and servers that stay dead: the blacklist keeps
//! clients from trying a dead server again and again, and must never be the
//! reason why nobody serves them.

use crate::stand::{
    Backend, Client, Host, Responder, Starter, better, full_queue, letters, responders, wait_until,
};

#[test]
fn a_server_that_was_restarted_serves_at_once() {
    better!(REFUSED_CONNECT);
    let host = Host::new();
    for args in [&["-r"][..], &[]] {
        let at = host.at();
        let server = Backend::letter(at.clone(), 'A');
        let pen = Starter::new(&host)
            .args(args)
            .servers(&[server])
            .expect("server 0")
            .expect("no server available")
            .start();
        // It went when it was handed over.
        assert_eq!(pen.letter(), "");
        let _again = Backend::letter(at, 'A');
        assert_eq!(pen.letters(3), "AAA");
        pen.says("is up again");
    }
}

#[test]
fn servers_restarted_one_after_the_other_serve_all_the_time() {
    better!(REFUSED_CONNECT);
    let host = Host::new();
    let mut servers = letters(&host, 3);
    let pen = Starter::new(&host).args(["-r"]).servers(&servers).expect("server ").start();
    for _ in 0..3 {
        let at = servers.remove(0).at.clone();
        // Each finds out, and is sent on: to one that is blacklisted, too.
        for _ in 0..6 {
            assert_ne!(pen.letter(), "");
        }
        servers.push(Backend::letter(at, 'X'));
    }
    assert_ne!(pen.letter(), "");
}

#[test]
fn of_the_blacklisted_the_one_whose_time_is_over_first_is_tried_first() {
    better!(REFUSED_CONNECT);
    let host = Host::new();
    let mut servers = letters(&host, 2);
    let pen = Starter::new(&host)
        .args(["-r"])
        .control(host.at())
        .servers(&servers)
        .expect("server ")
        .expect("no server available")
        .start();
    let ats: Vec<_> = servers.drain(..).map(|server| server.at.clone()).collect();
    // It tries server 1 first, so that server 1 is blacklisted first.
    assert_eq!(pen.letter(), "");
    let _servers: Vec<_> =
        ats.into_iter().zip(['A', 'B']).map(|(at, letter)| Backend::letter(at, letter)).collect();
    assert_eq!(pen.letter(), "B");
    // That cleared its blacklisting, so that nobody needs server 0.
    assert_eq!(pen.letters(3), "BBB");
}

#[test]
fn what_was_drained_by_hand_stays_out() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let pen = Starter::new(&host)
        .args(["-r"])
        .control(host.at())
        .servers(&servers)
        .expect("no server available")
        .start();
    for server in 0..2 {
        assert_eq!(pen.ask(&format!("server {server} blacklist 120")), "");
    }
    assert_eq!(pen.letter(), "");
    assert_eq!(pen.ask("server 0 blacklist 0"), "");
    assert_eq!(pen.letters(2), "AA");
}

#[test]
fn the_emergency_server_goes_before_the_blacklisted() {
    better!(REFUSED_CONNECT);
    let host = Host::new();
    let at = host.at();
    let server = Backend::letter(at.clone(), 'A');
    let emergency = Backend::letter(host.at(), 'E');
    let pen = Starter::new(&host)
        .args(["-e", &emergency.at.to_string()])
        .servers(&[server])
        .expect("server 0")
        .expect("emergency server")
        .start();
    assert_eq!(pen.letter(), "E");
    let _again = Backend::letter(at, 'A');
    assert_eq!(pen.letter(), "E");
    // Nobody else is left.
    drop(emergency);
    assert_eq!(pen.letters(2), "AA");
}

#[test]
fn one_client_probes_a_dead_server_and_the_others_pass_it_by() {
    better!(REFUSED_CONNECT);
    let host = Host::new();
    let servers = letters(&host, 1);
    let hole = host.addr();
    let pen = Starter::new(&host)
        .args(["-r", "-b", "1", "-t", "15"])
        .control(host.at())
        .servers(&servers)
        .operand(hole.to_string())
        .expect("server 1")
        .start();
    // Refused, and silent from now on.
    assert_eq!(pen.letter(), "A");
    let _full = full_queue(hole);
    let mut clients: Vec<Client> = Vec::new();
    wait_until("its time is over, and a client tries it", || {
        clients.push(pen.connect());
        pen.load(1) > 0
    });
    assert_eq!(pen.letters(6), "AAAAAA");
    assert_eq!(pen.load(1), 1);
}

#[test]
fn a_datagram_server_that_was_restarted_serves_at_once() {
    better!(UDP_REFUSED);
    let host = Host::new();
    for args in [&["-r"][..], &[]] {
        let mut servers = responders(&host, 1);
        let pen = Starter::datagrams(&host)
            .args(args)
            .servers(&servers)
            .expect("server 0")
            .expect("no server available")
            .start();
        let client = pen.asker();
        assert_eq!(client.letter(), "A");
        let at = servers.remove(0).at.clone();
        client.send("lost");
        pen.says("no server available");
        let _again = Responder::letter(at, 'A');
        // The same flow, and others.
        assert_eq!(client.letters(2), "AA");
        assert_eq!(pen.asker_letters(2), "AA");
        pen.says("is up again");
    }
}

#[test]
fn a_silent_datagram_server_that_was_restarted_keeps_its_flow() {
    better!(UDP_REFUSED);
    let host = Host::new();
    let at = host.at();
    let pen = Starter::datagrams(&host)
        .control(host.at())
        .server(&at)
        .expect("server 0")
        .expect("no server available")
        .start();
    let client = pen.asker();
    client.send("lost");
    pen.says("no server available");
    let server = Responder::silent(at);
    for count in 1..=5 {
        client.send("kept");
        wait_until("it arrives", || server.count() == count);
    }
    assert_eq!(server.peers().len(), 1, "one flow");
}
