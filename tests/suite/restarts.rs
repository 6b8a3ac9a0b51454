//! Servers that are restarted, and servers that stay dead: the blacklist keeps
//! clients from trying a dead server again and again, and must never be the
//! reason why nobody serves them.

use crate::stand::{Client, Responder, Starter, better, full_queue, wait_until};

#[test]
fn a_server_that_was_restarted_serves_at_once() {
    better!(REFUSED_CONNECT);
    for args in [&["-r"][..], &[]] {
        let starter = Starter::new().args(args).letters(1);
        let mut pen = starter.expect("server 0").expect("no server available").start();
        let at = pen.end_server(0);
        assert_eq!(pen.letter(), "");
        pen.start_server(at, 'A');
        assert_eq!(pen.letters(3), "AAA");
        pen.says("is up again");
    }
}

#[test]
fn servers_restarted_one_after_the_other_serve_all_the_time() {
    better!(REFUSED_CONNECT);
    let mut pen = Starter::new().args(["-r"]).letters(3).expect("server ").start();
    for _ in 0..3 {
        let at = pen.end_server(0);
        // Each finds out, and is sent on: to one that is blacklisted, too.
        for _ in 0..6 {
            assert_ne!(pen.letter(), "");
        }
        pen.start_server(at, 'X');
    }
    assert_ne!(pen.letter(), "");
}

#[test]
fn of_the_blacklisted_the_one_whose_time_is_over_first_is_tried_first() {
    better!(REFUSED_CONNECT);
    let starter = Starter::new().args(["-r"]).control().letters(2);
    let mut pen = starter.expect("server ").expect("no server available").start();
    let [first, second] = [(); 2].map(|()| pen.end_server(0));
    // It tries server 1 first, so that server 1 is blacklisted first.
    assert_eq!(pen.letter(), "");
    pen.start_server(first, 'A');
    pen.start_server(second, 'B');
    assert_eq!(pen.letter(), "B");
    // That cleared its blacklisting, so that nobody needs server 0.
    assert_eq!(pen.letters(3), "BBB");
}

#[test]
fn what_was_drained_by_hand_stays_out() {
    let starter = Starter::new().args(["-r"]).control().letters(2);
    let pen = starter.expect("no server available").start();
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
    let starter = Starter::new().beside("-e", 'E').letters(1);
    let mut pen = starter.expect("server 0").expect("emergency server").start();
    let at = pen.end_server(0);
    assert_eq!(pen.letter(), "E");
    pen.start_server(at, 'A');
    assert_eq!(pen.letter(), "E");
    // Nobody else is left.
    pen.beside.clear();
    assert_eq!(pen.letters(2), "AA");
}

#[test]
fn one_client_probes_a_dead_server_and_the_others_pass_it_by() {
    better!(REFUSED_CONNECT);
    let starter = Starter::new().args(["-r", "-b", "1", "-t", "15"]).control().letters(1);
    let hole = starter.host.addr();
    let pen = starter.operand(hole).expect("server 1").start();
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
    for args in [&["-r"][..], &[]] {
        let starter = Starter::new().udp().args(args).letters(1);
        let mut pen = starter.expect("server 0").expect("no server available").start();
        let client = pen.asker();
        assert_eq!(client.letter(), "A");
        let at = pen.end_server(0);
        client.send("lost");
        pen.says("no server available");
        pen.start_server(at, 'A');
        // The same flow, and others.
        assert_eq!(client.letters(2), "AA");
        assert_eq!(pen.letters(2), "AA");
        pen.says("is up again");
    }
}

#[test]
fn a_silent_datagram_server_that_was_restarted_keeps_its_flow() {
    better!(UDP_REFUSED);
    let starter = Starter::new().udp().control();
    let at = starter.host.at();
    let pen = starter.server(&at).expect("server 0").expect("no server available").start();
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
