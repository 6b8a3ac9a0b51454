//! What strangers can do to the web interface: little, and nothing to the
//! traffic.

use crate::stand::{Client, PATIENCE, Starter, better, wait_until};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::{Duration, Instant};

/// A thousand who look at the page, slow readers, and garbage, all at once:
/// threads stay few, connections are served, the control port answers, and
/// nothing of it stays.
#[test]
fn it_disturbs_nobody() {
    better!(WEB);
    let pen = Starter::new().letters(1).web().start();
    let web = pen.web();
    assert_eq!(pen.letter(), "A");
    let threads = || pen.status().number("Threads");
    let before = threads();
    let over = AtomicBool::new(false);
    let served = AtomicUsize::new(0);
    let request = format!("GET /status.json HTTP/1.1\r\nHost: {web}\r\n\r\n");
    let address = web.inet();
    // Who finds no place in the queue tries again later.
    let connect = || TcpStream::connect_timeout(&address, Duration::from_millis(500));
    thread::scope(|scope| {
        // A hundred threads with ten page clients each.
        for _ in 0..100 {
            scope.spawn(|| {
                while !over.load(SeqCst) {
                    let clients: Vec<_> = (0..10).filter_map(|_| connect().ok()).collect();
                    for mut client in clients {
                        let _ = client.set_read_timeout(Some(Duration::from_millis(500)));
                        let _ = client.write_all(request.as_bytes());
                        let mut answer = Vec::new();
                        let _ = client.read_to_end(&mut answer);
                        if answer.starts_with(b"HTTP/1.1 200 ") {
                            served.fetch_add(1, SeqCst);
                        }
                    }
                }
            });
        }
        let mut slow: Vec<TcpStream> = Vec::new();
        let mut seed = 4711_u32;
        let mut random = move || {
            seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (seed >> 24) as u8
        };
        let start = Instant::now();
        let mut most = 0;
        let mut slowest = Duration::ZERO;
        for _ in 0..15 {
            if let Ok(mut client) = connect() {
                // Takes nothing of its answer.
                let _ = client.write_all(request.as_bytes());
                slow.push(client);
            }
            if let Ok(mut client) = connect() {
                let garbage: Vec<u8> = (0..random()).map(|_| random()).collect();
                let _ = client.write_all(&garbage);
            }
            let asked = Instant::now();
            assert_eq!(pen.letter(), "A");
            assert!(pen.ask("mode").starts_with("no hash"));
            slowest = slowest.max(asked.elapsed());
            most = most.max(threads());
        }
        over.store(true, SeqCst);
        assert!(start.elapsed() < 10 * PATIENCE);
        // A connection and a command: not held up, however busy the machine.
        assert!(slowest < Duration::from_secs(5), "{slowest:?}");
        assert!(most < before + 40, "{most} threads, {before} before");
    });
    assert!(served.load(SeqCst) > 100, "{served:?}");
    wait_until("its threads have gone", || threads() <= before);
    wait_until("it answers again", || web.connect().is_ok() && pen.get("/healthz").body == "ok\n");
}

/// Whoever is silent makes room for whoever comes.
#[test]
fn silent_clients_make_room() {
    better!(WEB);
    let pen = Starter::new().web().start();
    let silent: Vec<Client> = (0..100).map(|_| Client::new(pen.web())).collect();
    let start = Instant::now();
    assert_eq!(pen.get("/healthz").status, 503);
    assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    drop(silent);
}
