//! Requests to the web interface that are odd, in pieces or slow.

use crate::stand::{Client, Starter, ask_web, better};
use std::io::Write;
use std::time::{Duration, Instant};

#[test]
fn odd_requests_are_refused_and_closed() {
    better!(WEB);
    let pen = Starter::new().web().start();
    let web = pen.web();
    let long = format!("GET / HTTP/1.1\r\nHost: {web}\r\nX: {}\r\n\r\n", "x".repeat(9000));
    let wide = format!("GET /{} HTTP/1.0\r\n\r\n", "x".repeat(100_000));
    for (status, request) in [
        (400, &b"\x16\x03\x01\x02\x00\x01\x00"[..]),
        (400, b"GET / HTTP/1.1\n\n"),
        (400, b"GET / HTTP/1.1\r\n\r\n"),
        (400, b"GET /\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nX : y\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nX: y\r\n z\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nX: \xff\xfe\r\n\r\n"),
        (400, b"GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx"),
        (
            400,
            b"POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        ),
        (411, b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
        (413, b"POST / HTTP/1.0\r\nContent-Length: 5000\r\n\r\n"),
        (413, b"POST / HTTP/1.0\r\nContent-Length: 999999999999999999999\r\n\r\n"),
        (431, long.as_bytes()),
        (431, wide.as_bytes()),
    ] {
        let answer = ask_web(pen.web(), request);
        let shown = String::from_utf8_lossy(&request[..request.len().min(80)]);
        assert_eq!(answer.status, status, "{shown}");
    }
    // Nothing at all, and half a request.
    let client = Client::new(pen.web());
    client.end_sending();
    assert!(client.ends());
    let client = Client::new(pen.web());
    client.send("GET / HT");
    client.end_sending();
    assert!(client.rest().starts_with(b"HTTP/1.1 400 "));
}

/// In pieces, with an empty line before it, with a body that nobody wants, and
/// more behind it.
#[test]
fn pieces_and_rests_do_no_harm() {
    better!(WEB);
    let pen = Starter::new().web().start();
    let client = Client::new(pen.web());
    for piece in ["\r", "\nGET /hea", "lthz HTTP/1.1\r", "\nHost: x\r\nContent-Le"] {
        client.send(piece);
    }
    client.send("ngth: 3\r\n\r");
    client.send("\nab");
    client.send("c");
    let answer = String::from_utf8(client.rest()).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with("\r\n\r\ndown\n"));
    // Told to send the body.
    let client = Client::new(pen.web());
    client.send(
        "GET /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n",
    );
    assert_eq!(client.receive(25), b"HTTP/1.1 100 Continue\r\n\r\n");
    client.send("x");
    assert!(client.rest().starts_with(b"HTTP/1.1 503 "));
}

/// The time is for all of it: a byte now and then does not buy more.
#[test]
fn a_slow_client_is_given_up() {
    better!(WEB);
    let pen = Starter::new().web().start();
    let start = Instant::now();
    let client = Client::new(pen.web());
    client.0.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    while client.0.peek(&mut [0]).is_err() && start.elapsed() < Duration::from_secs(20) {
        let _ = (&client.0).write_all(b"x");
    }
    let took = start.elapsed();
    let right = Duration::from_millis(4900)..Duration::from_secs(15);
    assert!(right.contains(&took), "{took:?}");
}
