//! The client table: who comes back to which server, and who is forgotten.

use crate::stand::{Caller, Starter, better, wait_until};

#[test]
fn hash_and_weight_choose_only_once() {
    for mode in ["-h", "-W"] {
        let pen = Starter::new().args([mode]).control().letters_with([":0:0:1"; 3]).start();
        let (_held, first) = pen.hold();
        // By weight another one would be next.
        assert_eq!(pen.letters(3), first.repeat(3), "{mode}");
    }
}

#[test]
fn an_expired_client_is_a_new_one() {
    better!(EXPIRY);
    let pen = Starter::new().args(["-T", "1"]).letters(2).control().start();
    assert_eq!(pen.letters(3), "BBB");
    wait_until("the client is away for a second", || pen.ask("recent 1").is_empty());
    assert_eq!(pen.letter(), "A");
    let table = pen.ask("recent");
    assert!(table.starts_with("127.0.0.1 connects 1 "), "{table}");
}

#[test]
fn without_expiry_a_client_is_known_for_ever() {
    let pen = Starter::new().control().letters(2).start();
    assert_eq!(pen.letter(), "B");
    wait_until("the client is away for a second", || pen.ask("recent 1").is_empty());
    assert_eq!(pen.letter(), "B");
}

#[test]
fn a_full_table_forgets_who_was_away_longest() {
    let pen = Starter::new().args(["-c", "2"]).letters(4).control().start();
    let [x, y, z] = [2, 3, 4].map(|n| Caller::new(n, &pen));
    // The C program tells ages apart by the second.
    let pause = || wait_until("a second has gone", || pen.ask("recent 1").is_empty());
    assert_eq!([x.letter(), y.letter()], ["B", "C"]);
    pause();
    assert_eq!(x.letter(), "B");
    pause();
    assert_eq!(z.letter(), "D");
    // y had to go.
    assert_eq!([x.letter(), y.letter()], ["B", "A"]);
    assert_eq!(pen.ask("clients_max"), "2\n");
    assert_eq!(pen.ask("recent").lines().count(), 2);
}

#[test]
fn the_table_can_be_made_larger() {
    let pen = Starter::new().args(["-c", "1"]).letters(4).control().start();
    assert_eq!(pen.letters_of([2, 3, 2]), "BCD");
    assert_eq!(pen.ask("clients_max 2"), "2\n");
    assert_eq!(pen.letters_of([3, 2, 3]), "ADA");
}

#[test]
fn n_hashes_and_never_remembers() {
    better!(NEVER_REMEMBER);
    for (mode, afterwards) in [("-N", "B"), ("-h", "A")] {
        let starter = Starter::new().args(["-O", "hash_type modulo", mode, "-b", "1"]);
        let mut pen = starter.control().letters(2).expect("server 1").start();
        // The hash of 127.0.0.1 is odd.
        assert_eq!(pen.letters(2), "BB");
        let at = pen.end_server(1);
        assert_eq!(pen.letter(), "A");
        pen.start_server(at, 'B');
        assert_eq!(pen.ask("server 1 blacklist 0"), "");
        assert_eq!(pen.letters(2), afterwards.repeat(2), "{mode}");
    }
}

#[test]
fn counts_connects_and_bytes() {
    let pen = Starter::new().letters(1).control().start();
    for _ in 0..3 {
        let client = pen.connect();
        client.send("hello\n");
        assert_eq!(client.receive(2), b"AA");
    }
    let line = "127.0.0.1 connects 3 sx 6 rx 18\n";
    wait_until("the bytes are counted", || pen.ask("recent") == line);
    let list = pen.server_list();
    assert!(list.ends_with(" sx 18 rx 6\n"), "{list}");
    assert_eq!(pen.ask("recent 60"), line);
}
