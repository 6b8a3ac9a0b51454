//! The bytes: all of them, in order, both ways at once, past a half-close.

use crate::stand::{Backend, Client, Host, PATIENCE, Pen, Starter, better, pattern, same_pattern};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::{Duration, Instant};

const MIB: u64 = 1 << 20;

/// Sends `length` bytes of a stream of patterns.
fn send_pattern(mut to: &TcpStream, stream: usize, length: u64) {
    let mut at = 0;
    while at < length {
        let piece = pattern(stream, at, (length - at).min(65_536) as usize);
        to.write_all(piece).unwrap();
        at += piece.len() as u64;
    }
}

/// Reads a stream of patterns to its end: its length, or where it is wrong.
fn read_pattern(mut from: &TcpStream, stream: usize, limit: u64) -> Result<u64, String> {
    let mut buffer = vec![0; 65_536];
    let mut at = 0;
    while at < limit {
        let room = buffer.len().min((limit - at) as usize);
        match from.read(&mut buffer[..room]) {
            Ok(0) => break,
            Ok(count) if same_pattern(stream, at, &buffer[..count]) => at += count as u64,
            Ok(count) => return Err(format!("wrong within {count} bytes from {at}")),
            Err(e) => return Err(format!("{e} after {at} bytes")),
        }
    }
    Ok(at)
}

/// A pen with a server that runs `work` on each connection and reports what
/// comes of it.
fn reporting<T: Send + 'static>(
    work: impl Fn(&TcpStream) -> T + Send + Sync + 'static,
) -> (Pen, Receiver<T>) {
    let (send, receive) = mpsc::channel();
    let starter = Starter::new().serve(move |stream| drop(send.send(work(&stream))));
    (starter.start(), receive)
}

#[test]
fn a_large_answer_comes_after_the_client_has_ended() {
    better!(HALF_CLOSED);
    let (pen, asked) = reporting(|mut stream| {
        let mut question = String::new();
        stream.read_to_string(&mut question).unwrap();
        send_pattern(stream, 1, 16 * MIB);
        question
    });
    let client = pen.connect();
    client.send("what is there?");
    client.end_sending();
    // The server answers only when it has seen the end.
    assert_eq!(read_pattern(&client.0, 1, u64::MAX), Ok(16 * MIB));
    assert_eq!(asked.recv_timeout(PATIENCE).unwrap(), "what is there?");
}

#[test]
fn a_large_upload_goes_on_after_the_server_has_ended() {
    better!(HALF_CLOSED);
    let (pen, received) = reporting(|mut stream| {
        stream.write_all(b"that is all").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_pattern(stream, 2, u64::MAX)
    });
    let client = pen.connect();
    assert_eq!(client.rest(), b"that is all");
    send_pattern(&client.0, 2, 16 * MIB);
    client.end_sending();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), Ok(16 * MIB));
}

#[test]
fn many_large_transfers_both_ways_at_once() {
    const STREAMS: usize = 6;
    const LENGTH: u64 = 12 * MIB + 12_345;
    let pen = Starter::new().echo().start();
    thread::scope(|scope| {
        for stream in 0..STREAMS {
            let client = pen.connect();
            scope.spawn(move || {
                thread::scope(|scope| {
                    scope.spawn(|| send_pattern(&client.0, stream, LENGTH));
                    assert_eq!(read_pattern(&client.0, stream, LENGTH), Ok(LENGTH));
                });
            });
        }
    });
    assert_eq!(pen.servers[0].count(), STREAMS);
}

#[test]
fn unlike_streams_cross_without_mixing() {
    better!(HALF_CLOSED);
    let (pen, received) = reporting(|stream| {
        thread::scope(|scope| {
            scope.spawn(|| {
                send_pattern(stream, 11, 8 * MIB);
                stream.shutdown(Shutdown::Write).unwrap();
            });
            read_pattern(stream, 12, u64::MAX)
        })
    });
    let client = pen.connect();
    thread::scope(|scope| {
        scope.spawn(|| {
            send_pattern(&client.0, 12, 9 * MIB);
            client.end_sending();
        });
        assert_eq!(read_pattern(&client.0, 11, u64::MAX), Ok(8 * MIB));
    });
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), Ok(9 * MIB));
}

#[test]
fn an_empty_connection_ends_on_both_sides() {
    let (pen, received) = reporting(|mut stream| stream.read(&mut [0]).unwrap());
    let client = pen.connect();
    client.end_sending();
    assert_eq!(received.recv_timeout(PATIENCE).unwrap(), 0);
    assert_eq!(client.rest(), b"");
}

/// The time in the middle of all.
fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[test]
fn single_bytes_go_back_and_forth() {
    let pen = Starter::new().echo().start();
    let client = pen.connect();
    client.0.set_nodelay(true).unwrap();
    let times = (0..200).map(|n: u8| {
        let start = Instant::now();
        client.send([n]);
        assert_eq!(client.receive(1), [n]);
        start.elapsed()
    });
    let time = median(times.collect());
    assert!(time < Duration::from_millis(100), "{time:?} a byte");
}

#[test]
fn small_pieces_are_not_held_back() {
    // Against Nagle's algorithm, which would let the second piece wait for the
    // acknowledgement of the first, and that waits for up to 40 ms.
    better!(NODELAY);
    let (seen, first) = mpsc::channel();
    let starter = Starter::new().serve(move |stream| {
        stream.set_nodelay(true).unwrap();
        let mut stream: &TcpStream = &stream;
        let mut byte = [0];
        while stream.read_exact(&mut byte).is_ok() {
            let _ = seen.send(());
            if byte == [b'2'] {
                stream.write_all(b"!").unwrap();
            }
        }
    });
    let pen = starter.start();
    let client: Client = pen.connect();
    client.0.set_nodelay(true).unwrap();
    // Linux acknowledges at once while a connection is young.
    let times = (0..60).map(|_| {
        client.send("1");
        first.recv_timeout(PATIENCE).unwrap();
        let start = Instant::now();
        client.send("2");
        first.recv_timeout(PATIENCE).unwrap();
        let time = start.elapsed();
        assert_eq!(client.receive(1), b"!");
        time
    });
    let time = median(times.skip(30).collect());
    assert!(time < Duration::from_millis(30), "{time:?}");
}

#[test]
fn http_requests_share_a_connection() {
    let host = Host::new();
    let server = Backend::http(host.at());
    let pen = Starter::on(&host).server(&server.at).start();
    let client = pen.connect();
    let big = "x".repeat(100_000);
    for body in ["", "hello", &big] {
        let (request, answer) = match body {
            "" => ("GET /index HTTP/1.1\r\nHost: h\r\n\r\n".to_owned(), "/index"),
            body => {
                let length = body.len();
                let head = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length:";
                (format!("{head} {length}\r\n\r\n{body}"), body)
            }
        };
        client.send(request);
        let length = answer.len();
        let whole = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{answer}");
        assert!(client.receive(whole.len()) == whole.as_bytes(), "{length}");
    }
    assert_eq!(server.count(), 1);
}
