//! Who does not read stalls the other end, and nothing piles up in pen.

use crate::stand::{Backend, PATIENCE, Pen, Starter, pattern, same_pattern, wait_for, wait_until};
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// No pair of sockets holds so much: more can only be in pen.
const TOO_MUCH: usize = 192 << 20;

/// Memory that pen may take for a connection: its buffers, and some slack.
const MEMORY_KIB: u64 = 8 << 10;

/// Waits until a count has stood still for a while: what is full is full.
fn settled(count: &AtomicUsize) -> usize {
    let mut last = (count.load(SeqCst), Instant::now());
    // On a busy machine it comes in dribs and drabs.
    wait_for(3 * PATIENCE, "the flow stops", || {
        let now = count.load(SeqCst);
        assert!(now < TOO_MUCH, "{now} bytes are on their way");
        if now != last.0 {
            last = (now, Instant::now());
        }
        now > 0 && last.1.elapsed() > Duration::from_secs(1)
    });
    last.0
}

/// A pen in front of a server that sends without end, and how much it has sent.
fn in_front_of_a_source() -> (Pen, Arc<AtomicUsize>) {
    let sent = Arc::<AtomicUsize>::default();
    let starter = Starter::new().control();
    (starter.with(|at| Backend::source(at, Arc::clone(&sent))).start(), sent)
}

fn memory(pen: &Pen) -> u64 {
    pen.status().number("VmRSS")
}

#[test]
fn a_client_that_stops_reading_stalls_its_server_alone() {
    let (pen, sent) = in_front_of_a_source();
    let before = memory(&pen);
    let client = pen.connect();
    let stalled = settled(&sent);
    let grown = memory(&pen).saturating_sub(before);
    assert!(grown < MEMORY_KIB, "grown by {grown} KiB");
    // Everything is there, and more comes, when it reads again.
    let mut buffer = vec![0; 65_536];
    let mut at = 0;
    while at < stalled + (1 << 20) {
        let count = (&client.0).read(&mut buffer).unwrap();
        assert!(count > 0 && same_pattern(0, at as u64, &buffer[..count]), "at {at}");
        at += count;
    }
}

#[test]
fn a_server_that_stops_reading_stalls_its_client_alone() {
    let (go, wait) = std::sync::mpsc::channel::<()>();
    let wait = std::sync::Mutex::new(wait);
    let (report, reported) = std::sync::mpsc::channel();
    let starter = Starter::new().args(["-r"]).letters(1).serve(move |stream| {
        let _ = wait.lock().unwrap().recv();
        let mut buffer = vec![0; 65_536];
        let mut at = 0;
        while let Ok(count @ 1..) = (&*stream).read(&mut buffer) {
            assert!(same_pattern(3, at, &buffer[..count]), "at {at}");
            at += count as u64;
        }
        let _ = report.send(at as usize);
    });
    let pen = starter.start();
    let before = memory(&pen);
    let client = pen.connect();
    let sent = AtomicUsize::new(0);
    thread::scope(|scope| {
        scope.spawn(|| {
            let end = settled(&sent) + (4 << 20);
            let grown = memory(&pen).saturating_sub(before);
            assert!(grown < MEMORY_KIB, "grown by {grown} KiB");
            // Nobody else is held up meanwhile.
            assert_eq!(pen.letter(), "A");
            go.send(()).unwrap();
            wait_for(3 * PATIENCE, "the flow goes on", || sent.load(SeqCst) > end);
            client.end_sending();
        });
        loop {
            let at = sent.load(SeqCst);
            match (&client.0).write(pattern(3, at as u64, 65_536)) {
                Ok(count) => drop(sent.fetch_add(count, SeqCst)),
                // It is stalled for as long as that may take.
                Err(e) if e.kind() == ErrorKind::WouldBlock => {}
                Err(_) => break,
            }
        }
    });
    let reported = reported.recv_timeout(3 * PATIENCE);
    assert_eq!(reported.unwrap(), sent.load(SeqCst));
}

#[test]
fn a_stalled_connection_can_be_left() {
    let (pen, sent) = in_front_of_a_source();
    let client = pen.connect();
    settled(&sent);
    assert_eq!(pen.load(0), 1);
    drop(client);
    wait_until("the connection is over", || pen.load(0) == 0);
}

/// A server whose answer nobody takes any more must not wait in vain for room
/// that there will never be. Whether it did was a matter of luck.
#[test]
fn a_server_hears_at_once_that_its_client_has_left() {
    const CLIENTS: usize = 1000;
    let told = Arc::new(AtomicUsize::new(0));
    let ends = Arc::clone(&told);
    let starter = Starter::new().serve(move |stream| {
        let late = loop {
            if let Err(e) = (&*stream).write(pattern(0, 0, 65_536)) {
                break e.kind() == ErrorKind::WouldBlock;
            }
        };
        ends.fetch_add(usize::from(!late), SeqCst);
    });
    let pen = starter.start();
    thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..CLIENTS / 20 {
                    // It leaves what has come unread.
                    let client = pen.connect();
                    assert_eq!(client.0.peek(&mut [0]).unwrap(), 1);
                }
            });
        }
    });
    wait_until("all servers have heard", || told.load(SeqCst) == CLIENTS);
}
