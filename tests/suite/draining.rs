//! TERM with `drain_timeout`: connections finish first.

use crate::stand::{Starter, better, wait_until};

#[test]
fn connections_finish_after_term() {
    better!(DRAIN);
    let starter = Starter::new().web().letters(1).expect("pen is draining");
    let starter = starter.args(["-O", "drain_timeout 600", "-O", "lame_duck 1"]);
    let mut pen = starter.start();
    let client = pen.connect_to("A");
    assert_eq!(pen.get("/healthz").status, 200);
    pen.signal("TERM");
    wait_until("its health fails", || pen.get("/healthz").status == 503);
    assert_eq!(pen.get("/healthz").body, "draining\n");
    // It listens for a while, as those who ask for its health need time to notice.
    assert_eq!(pen.letter(), "A");
    wait_until("it does not listen any more", || !pen.at.is_listening());
    client.send("\n");
    assert_eq!(client.letter(), "A");
    drop(client);
    assert_eq!(pen.wait().code(), Some(0));
}

#[test]
fn connections_have_so_much_time_and_no_more() {
    better!(DRAIN);
    let starter = Starter::new().letters(1).expect("pen is draining");
    let mut pen = starter.args(["-O", "drain_timeout 1"]).start();
    let client = pen.connect_to("A");
    pen.signal("TERM");
    assert!(client.ends());
    assert_eq!(pen.wait().code(), Some(0));
}

#[test]
fn a_second_term_ends_it_at_once() {
    better!(DRAIN);
    let starter = Starter::new().letters(1).expect("pen is draining");
    let mut pen = starter.args(["-O", "drain_timeout 600", "-O", "lame_duck 600"]).start();
    let client = pen.connect_to("A");
    pen.signal("TERM");
    pen.says("pen is draining");
    assert_eq!(pen.letter(), "A");
    pen.signal("TERM");
    assert!(client.ends());
    assert_eq!(pen.wait().code(), Some(0));
}
