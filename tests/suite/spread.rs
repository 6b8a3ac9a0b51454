//! How clients are spread over the servers, and how those of a server that is
//! down are.

use crate::differences::{DISPLACED, HASH_TYPE, WEIGHT_TIES};
use crate::stand::{Callers, Starter, better, wait_until, worse};

/// How often each of four letters comes.
fn counts(letters: &str) -> [usize; 4] {
    ["A", "B", "C", "D"].map(|letter| letters.matches(letter).count())
}

#[test]
fn clients_of_a_server_that_is_left_alone_are_shared_by_all_others() {
    let pen = Starter::new().control().letters(4).start();
    let clients = Callers::new(&pen);
    assert_eq!(counts(&clients.letters(0..24)), [6, 6, 6, 6]);
    assert_eq!(pen.ask("server 1 blacklist 120"), "");
    let wanted = if worse(&DISPLACED) { [6, 0, 12, 6] } else { [8, 0, 8, 8] };
    assert_eq!(counts(&clients.letters(0..24)), wanted);
    // New ones, too.
    let new = counts(&clients.letters(100..124));
    assert_eq!(new, [8, 0, 8, 8]);
}

#[test]
fn clients_whose_server_refuses_are_shared_by_all_others() {
    better!(REFUSED_CONNECT);
    // None is left alone, so each client finds out by itself.
    for args in [&["-r", "-b", "0"][..], &["-b", "0"]] {
        let mut pen = Starter::new().args(args).letters(4).expect("server 1").start();
        let clients = Callers::new(&pen);
        assert_eq!(counts(&clients.letters(0..24)), [6, 6, 6, 6]);
        pen.servers.remove(1);
        let [a, b, c, d] = counts(&clients.letters(0..24));
        assert!(b == 0 && [a, c, d].iter().all(|count| (6..=10).contains(count)), "{a} {c} {d}");
    }
}

#[test]
fn displaced_clients_do_not_pile_up_and_can_be_forgotten() {
    let pen = Starter::new().control().letters(4).start();
    let clients = Callers::new(&pen);
    let all = || counts(&clients.letters(0..40));
    assert_eq!(all(), [10, 10, 10, 10]);
    let mut last = [0; 4];
    for server in [1, 2] {
        pen.ask(&format!("server {server} blacklist 120"));
        last = all();
        pen.ask(&format!("server {server} blacklist 0"));
    }
    if worse(&DISPLACED) {
        assert_eq!(last, [10, 0, 0, 30]);
        return;
    }
    // 13 or 14 each, then those of the second one are shared by three.
    assert!(last.iter().all(|count| *count <= 19), "{last:?}");
    assert_eq!(last[2], 0);
    assert_eq!(all(), last);
    // One client, those of one server, everybody.
    assert_eq!(pen.ask("forget 127.0.1.0"), "1 forgotten\n");
    assert_eq!(pen.ask("forget 127.0.1.0"), "0 forgotten\n");
    assert_eq!(pen.ask("forget 127.0.9.9"), "0 forgotten\n");
    let forgotten = pen.ask("forget server 3");
    let count: usize = forgotten.split(' ').next().unwrap().parse().unwrap();
    assert!(count == last[3] || count + 1 == last[3], "{forgotten} of {last:?}");
    assert_eq!(pen.ask("forget"), format!("{} forgotten\n", 39 - count));
    assert_eq!(all(), [10, 10, 10, 10]);
    let table = pen.ask("recent");
    assert_eq!(table.lines().count(), 40, "they are still known");
}

#[test]
fn equal_load_goes_in_turn() {
    let pen = Starter::new().args(["-rW"]).control().letters_with([":0:0:1"; 3]).start();
    let letter = |_| {
        wait_until("nobody is there", || (0..3).all(|server| pen.load(server) == 0));
        pen.letter()
    };
    let round: String = (0..6).map(letter).collect();
    let wanted = if worse(&WEIGHT_TIES) { "AAAAAA" } else { "ABCABC" };
    assert_eq!(round, wanted);
}

/// Clients of many networks.
fn many(clients: &Callers) -> Vec<String> {
    let address = |n: u8| [127, 1 + n / 8, n % 8, 1];
    (0..120).map(|n| clients.letter(address(n))).collect()
}

#[test]
fn a_hash_spreads_evenly_and_moves_the_clients_of_one_server_alone() {
    if worse(&HASH_TYPE) {
        let pen = Starter::new().args(["-h"]).letters(4).start();
        let all = many(&Callers::new(&pen)).concat();
        assert_eq!(counts(&all).into_iter().max(), Some(120));
        return;
    }
    let mut pen = Starter::new().args(["-N"]).letters(4).expect("server ").start();
    let clients = Callers::new(&pen);
    let before = many(&clients);
    // 30 each, with a standard deviation of 4.7.
    assert!(counts(&before.concat()).iter().all(|count| (6..=54).contains(count)), "{before:?}");
    assert_eq!(many(&clients), before);
    let at = pen.end_server(1);
    let without = many(&clients);
    let pairs = || before.iter().zip(&without);
    assert!(pairs().all(|(old, new)| if old == "B" { new != "B" } else { old == new }));
    // They are shared by the others.
    let moved: String = pairs().filter(|(old, _)| *old == "B").map(|(_, new)| &**new).collect();
    assert!(counts(&moved).iter().filter(|count| **count > 0).count() > 1, "{moved}");
    // Another order of the servers, another pen: the same choice.
    pen.start_server(at, 'B');
    let pen = Starter::new().args(["-N"]).servers(pen.servers.iter().rev()).start();
    assert_eq!(many(&Callers::new(&pen)), before);
}

#[test]
fn modulo_is_the_c_programs_hash() {
    let starter = Starter::new().args(["-h", "-O", "hash_type modulo"]);
    let pen = starter.control().letters(4).start();
    let all = many(&Callers::new(&pen)).concat();
    assert_eq!(counts(&all).into_iter().max(), Some(120));
    better!(HASH_TYPE);
    assert_eq!(pen.ask("hash_type"), "modulo\n");
    assert_eq!(pen.ask("hash_type rendezvous"), "rendezvous\n");
    let reply = pen.ask("hash_type sideways");
    assert!(reply.starts_with("hash_type: unknown word 'sideways'"), "{reply}");
    assert_eq!(pen.ask("hash_type"), "rendezvous\n");
}
