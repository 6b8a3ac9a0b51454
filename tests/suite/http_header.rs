//! `-H`: every request of a connection says who the client is.

use crate::differences::HTTP;
use crate::stand::{Starter, better, pattern, worse};
use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::mpsc;

const OURS: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\n";

/// What arrives at a server when a client sends these pieces, each on its own.
fn arrives(options: &[&str], pieces: &[Vec<u8>]) -> Vec<u8> {
    let (send, receive) = mpsc::channel();
    let starter = Starter::new()
        .args(options)
        .expect("HTTP request that can be read in two ways")
        .serve(move |stream| {
            let mut data = Vec::new();
            let _ = (&*stream).read_to_end(&mut data);
            let _ = send.send(data);
        });
    let pen = starter.start();
    let client = pen.connect();
    client.0.set_nodelay(true).unwrap();
    for piece in pieces {
        client.send(piece);
    }
    client.end_sending();
    assert!(client.ends());
    receive.recv().unwrap()
}

/// Numbers that look random and are the same in every run.
fn random(seed: &mut u64, below: usize) -> usize {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
    (*seed >> 33) as usize % below
}

/// A request, and the same as the server is to see it.
fn request(seed: &mut u64) -> (Vec<u8>, Vec<u8>) {
    let methods = ["GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "X-OWN"];
    let method = methods[random(seed, methods.len())];
    let mut head = format!("{method} /{} HTTP/1.1\r\nHost: x\r\n", random(seed, 1000));
    let length = random(seed, 3000);
    let bytes = pattern(3, random(seed, 60_000) as u64, length);
    let mut body = Vec::new();
    match random(seed, 3) {
        0 => {}
        1 => {
            head += &format!("Content-Length: {length}\r\n");
            body.extend_from_slice(bytes);
        }
        _ => {
            head += "Transfer-Encoding: chunked\r\n";
            for chunk in bytes.chunks(random(seed, 700) + 1) {
                body.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
                body.extend_from_slice(chunk);
                body.extend_from_slice(b"\r\n");
            }
            body.extend_from_slice(b"0\r\nTrailer: x\r\n\r\n");
        }
    }
    let sent = [head.as_bytes(), b"\r\n", &body].concat();
    let seen = [head.as_bytes(), OURS.as_bytes(), b"\r\n", &body].concat();
    (sent, seen)
}

#[test]
fn a_request_in_one_piece() {
    for method in ["GET", "POST", "HEAD"] {
        let start = format!("{method} /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n");
        let arrived = arrives(&["-H"], &[format!("{start}\r\n").into()]);
        let wanted = format!("{start}{OURS}\r\n");
        assert_eq!(String::from_utf8_lossy(&arrived), wanted);
    }
}

/// 10,000 requests on a few connections, cut into pieces anywhere.
#[test]
fn requests_of_any_kind_in_any_pieces() {
    better!(HTTP);
    let mut seed = 42;
    for _ in 0..5 {
        let (mut sent, mut seen) = (Vec::new(), Vec::new());
        for _ in 0..2000 {
            let (one, same) = request(&mut seed);
            sent.extend_from_slice(&one);
            seen.extend_from_slice(&same);
        }
        let mut pieces = Vec::new();
        let mut rest = &sent[..];
        while !rest.is_empty() {
            // Short ones among long ones.
            let most = [3, 100, 20_000][random(&mut seed, 3)];
            let (piece, tail) = rest.split_at((random(&mut seed, most) + 1).min(rest.len()));
            pieces.push(piece.to_vec());
            rest = tail;
        }
        let arrived = arrives(&["-H"], &pieces);
        assert_eq!(arrived.len(), seen.len());
        assert!(arrived == seen, "other bytes than wanted");
    }
}

#[test]
fn what_the_client_says_is_not_the_last_word() {
    let text = "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\n\r\n";
    let arrived = arrives(&["-H"], &[text.into()]);
    let start = "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1\r\n";
    let wanted = match worse(&HTTP) {
        true => format!("{start}X-Forwarded-Proto: http\r\n\r\n"),
        false => format!("{start}{OURS}\r\n"),
    };
    assert_eq!(String::from_utf8_lossy(&arrived), wanted);
}

/// What arrives at a server that gives these answers, each when it has as many
/// empty lines as were sent. The client waits for each before it goes on.
fn dialogue(steps: &[(&str, &str)]) -> String {
    let (send, receive) = mpsc::channel();
    let count = |text: &str| text.matches("\r\n\r\n").count();
    let answers = steps.iter().map(|step| (count(step.0), step.1.to_owned()));
    let answers: Vec<(usize, String)> = answers.collect();
    let starter = Starter::new().args(["-H"]).serve(move |stream| {
        let (mut from, mut to): (&TcpStream, &TcpStream) = (&stream, &stream);
        let mut data = String::new();
        let mut buffer = [0; 4096];
        for (wanted, answer) in &answers {
            let start = data.len();
            while count(&data[start..]) < *wanted {
                let length = from.read(&mut buffer).unwrap();
                assert!(length > 0);
                data += std::str::from_utf8(&buffer[..length]).unwrap();
            }
            to.write_all(answer.as_bytes()).unwrap();
        }
        let _ = send.send(data);
    });
    let pen = starter.start();
    let client = pen.connect();
    for (request, answer) in steps {
        client.send(request);
        assert_eq!(client.receive(answer.len()), answer.as_bytes());
    }
    receive.recv().unwrap()
}

const NONE: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
const GET: &str = "GET / HTTP/1.1\r\n\r\n";

/// The same as the server is to see it.
fn with_ours(request: &str) -> String {
    request.replace("\r\n\r\n", &format!("\r\n{OURS}\r\n"))
}

const CHANGES: [&str; 4] = [
    "GET / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n\r\n",
    "GET / HTTP/1.1\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nUpgrade:\r\n\r\n",
    "CONNECT x:443 HTTP/1.1\r\n\r\n",
];

#[test]
fn a_change_of_protocol_that_is_refused_is_none() {
    better!(HTTP);
    let refused = "HTTP/1.1 405 No\r\nTransfer-Encoding: chunked\r\n\r\n\
        20\r\nHTTP/1.1 101 x\r\nUpgrade: x\r\n\r\n\r\n\r\n0\r\n\r\n";
    for change in CHANGES {
        let steps = [(GET, NONE), (change, refused), (GET, NONE), (change, refused), (GET, NONE)];
        let wanted: String = steps.iter().map(|step| with_ours(step.0)).collect();
        assert_eq!(dialogue(&steps), wanted);
    }
}

#[test]
fn a_change_of_protocol_that_is_agreed_to() {
    better!(HTTP);
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n";
    let body = "HTTP/1.1 200 OK\r\nContent-Length: 18\r\n\r\nHTTP/1.1 101 x\r\n\r\n";
    let none = "HTTP/1.1 304 Not Modified\r\nContent-Length: 18\r\n\r\n";
    for change in CHANGES {
        let switch = match change.starts_with("CONNECT") {
            true => "HTTP/1.1 200 OK\r\n\r\n",
            false => SWITCHING,
        };
        let switch = [interim, switch].concat();
        let head = "HEAD / HTTP/1.1\r\n\r\n";
        let before = [(GET, body), (head, &body[..39]), (GET, none)];
        let after = [(change, &switch[..]), (GET, GET), ("\r\n\r\n", "x"), (GET, "")];
        let wanted: String = before.iter().map(|step| with_ours(step.0)).collect();
        let wanted = wanted + &with_ours(change) + GET + "\r\n\r\n" + GET;
        assert_eq!(dialogue(&[&before[..], &after].concat()), wanted);
    }
}

/// A server that waits for more before it answers gets it, and what the client
/// sends without waiting is no way around pen.
#[test]
fn nobody_waits_for_the_answer() {
    better!(HTTP);
    for change in CHANGES {
        let all = [change, GET, GET].concat();
        assert_eq!(dialogue(&[(&all, NONE)]), with_ours(&all));
    }
}

#[test]
fn other_bytes_pass_as_they_are() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    let smtp = format!("EHLO x\r\n{get}");
    assert_eq!(arrives(&["-H"], &[smtp.clone().into()]), smtp.as_bytes());
    let plain = [get, get].concat();
    assert_eq!(arrives(&[], &[plain.clone().into()]), plain.as_bytes());
    better!(HTTP);
    // Two lengths: the stream passes from the end of that header.
    let start = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let arrived = arrives(&["-H"], &[format!("{start}\r\n0\r\n\r\n{get}").into()]);
    let wanted = format!("{start}{OURS}\r\n0\r\n\r\n{get}");
    assert_eq!(String::from_utf8_lossy(&arrived), wanted);
}

/// A protocol that is not HTTP and has no lines: nothing is held back.
#[test]
fn a_dialogue_is_not_delayed() {
    let pen = Starter::new().args(["-H"]).echo().start();
    let client = pen.connect();
    for byte in b"GET x\0\x01\x02" {
        client.send([*byte]);
        assert_eq!(client.receive(1), [*byte]);
    }
}
