//! The client table: who comes back to which server, and who is forgotten.

use crate::stand::{Caller, Host, Starter, better, letters, wait_until};
use std::time::Duration;

#[test]
fn a_client_returns_to_its_server() {
    let host = Host::new();
    let servers = letters(&host, 4);
    let pen = Starter::new(&host).servers(&servers).start();
    let (x, y) = (Caller::new(&host, 2, &pen), Caller::new(&host, 3, &pen));
    assert_eq!([x.letter(), y.letter()], ["B", "C"]);
    for _ in 0..3 {
        assert_eq!([y.letter(), x.letter()], ["C", "B"]);
    }
}

#[test]
fn hash_and_weight_choose_only_once() {
    let host = Host::new();
    let servers = letters(&host, 3);
    for mode in ["-h", "-W"] {
        let mut starter = Starter::new(&host).args([mode]).control(host.at());
        for server in &servers {
            starter = starter.operand(format!("{}:0:0:1", server.at));
        }
        let pen = starter.start();
        let held = pen.connect();
        let first = held.letter();
        // By weight another one would be next.
        assert_eq!(pen.letters(3), first.repeat(3), "{mode}");
    }
}

#[test]
fn an_expired_client_is_a_new_one() {
    better!(EXPIRY);
    let host = Host::new();
    let servers = letters(&host, 2);
    let starter = Starter::new(&host).args(["-T", "1"]).servers(&servers);
    let pen = starter.control(host.at()).start();
    assert_eq!(pen.letters(3), "BBB");
    wait_until("the client is away for a second", || pen.ask("recent 1").is_empty());
    assert_eq!(pen.letter(), "A");
    let table = pen.ask("recent");
    assert!(table.starts_with("127.0.0.1 connects 1 "), "{table}");
}

#[test]
fn without_expiry_a_client_is_known_for_ever() {
    let host = Host::new();
    let servers = letters(&host, 2);
    let pen = Starter::new(&host).control(host.at()).servers(&servers).start();
    assert_eq!(pen.letter(), "B");
    wait_until("the client is away for a second", || pen.ask("recent 1").is_empty());
    assert_eq!(pen.letter(), "B");
}

#[test]
fn a_full_table_forgets_who_was_away_longest() {
    let host = Host::new();
    let servers = letters(&host, 4);
    let starter = Starter::new(&host).args(["-c", "2"]).servers(&servers);
    let pen = starter.control(host.at()).start();
    let [x, y, z] = [2, 3, 4].map(|n| Caller::new(&host, n, &pen));
    // The C program tells ages apart by the second.
    let pause = || wait_until("a second has gone", || pen.ask("recent 1").is_empty());
    assert_eq!([x.letter(), y.letter()], ["B", "C"]);
    pause();
    assert_eq!(x.letter(), "B");
    pause();
    assert_eq!(z.letter(), "D");
    // y had to go.
    assert_eq!(x.letter(), "B");
    assert_eq!(y.letter(), "A");
    assert_eq!(pen.ask("clients_max"), "2\n");
    assert_eq!(pen.ask("recent").lines().count(), 2);
}

#[test]
fn the_table_can_be_made_larger() {
    let host = Host::new();
    let servers = letters(&host, 4);
    let starter = Starter::new(&host).args(["-c", "1"]).servers(&servers);
    let pen = starter.control(host.at()).start();
    let (x, y) = (Caller::new(&host, 2, &pen), Caller::new(&host, 3, &pen));
    assert_eq!([x.letter(), y.letter(), x.letter()], ["B", "C", "D"]);
    assert_eq!(pen.ask("clients_max 2"), "2\n");
    assert_eq!([y.letter(), x.letter(), y.letter()], ["A", "D", "A"]);
}

#[test]
fn n_hashes_and_never_remembers() {
    better!(NEVER_REMEMBER);
    let host = Host::new();
    for (mode, afterwards) in [("-N", "B"), ("-h", "A")] {
        let mut servers = letters(&host, 2);
        let pen = Starter::new(&host)
            .args(["-O", "hash_type modulo", mode, "-b", "1"])
            .control(host.at())
            .servers(&servers)
            .expect("server 1")
            .start();
        // The hash of 127.0.0.1 is odd.
        assert_eq!(pen.letters(2), "BB");
        let at = servers.pop().unwrap().at.clone();
        assert_eq!(pen.letter(), "A");
        let _again = crate::stand::Backend::letter(at, 'B');
        assert_eq!(pen.ask("server 1 blacklist 0"), "");
        assert_eq!(pen.letters(2), afterwards.repeat(2), "{mode}");
    }
}

#[test]
fn counts_connects_and_bytes() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let starter = Starter::new(&host).servers(&servers);
    let pen = starter.control(host.at()).start();
    for _ in 0..3 {
        let client = pen.connect();
        client.send("hello\n");
        assert_eq!(client.receive(2), b"AA");
    }
    wait_until("the bytes are counted", || {
        pen.ask("recent") == "127.0.0.1 connects 3 sx 6 rx 18\n"
    });
    let list = pen.servers();
    assert!(list.ends_with(" sx 18 rx 6\n"), "{list}");
    assert_eq!(
        pen.ask(&format!("recent {}", Duration::from_secs(60).as_secs())).lines().count(),
        1
    );
}
