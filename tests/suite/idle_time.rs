//! Connections on which nothing moves (`idle_timeout`).

use crate::stand::{PATIENCE, Starter, better, wait_until};
use std::io::{Read, Write};
use std::sync::mpsc;
use std::time::{Duration, Instant};

#[test]
fn a_half_closed_connection_ends_after_the_idle_time() {
    better!(HALF_CLOSED);
    let (report, reported) = mpsc::channel();
    let starter = Starter::new().args(["-O", "idle_timeout 1"]).control();
    let starter = starter.serve(move |stream| {
        let mut question = String::new();
        let _ = (&*stream).read_to_string(&mut question);
        // It never answers, nor does it leave: the test keeps its socket.
        let _ = report.send((question, stream));
    });
    let pen = starter.start();
    let client = pen.connect();
    client.send("a question");
    client.end_sending();
    let (question, _socket) = reported.recv_timeout(PATIENCE).unwrap();
    assert_eq!(question, "a question");
    assert!(client.ends());
    wait_until("the server is let go", || pen.load(0) == 0);
}

#[test]
fn a_half_closed_connection_has_a_time_of_its_own() {
    better!(NEW_COMMANDS);
    let starter = Starter::new().args(["-O", "half_closed_timeout 3"]).control();
    let starter = starter.serve(|stream| {
        let mut question = String::new();
        (&*stream).read_to_string(&mut question).unwrap();
        if question == "slow" {
            // The time counts from the end of the question.
            std::thread::sleep(Duration::from_secs(1));
            (&*stream).write_all(b"answer").unwrap();
        } else {
            std::mem::forget(stream);
        }
    });
    let pen = starter.start();
    let [slow, silent, whole] = [(); 3].map(|()| pen.connect());
    // Quiet for longer than that, but neither side has ended.
    std::thread::sleep(Duration::from_millis(3500));
    slow.send("slow");
    for client in [&slow, &silent] {
        client.end_sending();
    }
    assert_eq!(slow.rest(), b"answer");
    assert!(silent.ends());
    wait_until("two are over", || pen.load(0) == 1);
    assert!(whole.is_quiet());
}

#[test]
fn a_busy_connection_outlives_the_idle_time() {
    let pen = Starter::new().args(["-O", "idle_timeout 2"]).echo().start();
    let client = pen.connect();
    let quiet = pen.connect();
    let start = Instant::now();
    while start.elapsed() < Duration::from_secs(4) {
        client.echoes("x");
        // The pace of the traffic, not a wait for anything.
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(quiet.ends());
}

#[test]
fn few_slots_are_no_reason_to_wait() {
    better!(IDLE_TABLE);
    let pen = Starter::new().args(["-x", "1", "-O", "idle_timeout 2"]).letters(1).start();
    let client = pen.connect_to("A");
    assert!(client.ends());
}
