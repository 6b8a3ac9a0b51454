//! `-H`: every request of a connection says who the client is.

use crate::differences::HTTP;
use crate::harness::{Backend, Place, Starter, better, pattern, worse};
use std::io::Read;
use std::sync::mpsc;

const OURS: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 127.0.0.1\r\n";

/// What arrives at a server when a client sends these pieces, each on its own.
fn arrives(options: &[&str], pieces: &[Vec<u8>]) -> Vec<u8> {
    let place = Place::new();
    let (send, receive) = mpsc::channel();
    let backend = Backend::start(place.at(), move |stream| {
        let mut data = Vec::new();
        let _ = (&*stream).read_to_end(&mut data);
        let _ = send.send(data);
    });
    let pen = Starter::new(&place)
        .args(options)
        .expect("HTTP request that can be read in two ways")
        .server(&backend.at)
        .start();
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
    if better(&HTTP) {
        return;
    }
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
    let wanted = "GET / HTTP/1.1\r\nX-Forwarded-For: 10.0.0.1, 127.0.0.1\r\n\
        X-Forwarded-Proto: http\r\n\r\n";
    let wanted = match worse(&HTTP) {
        true => wanted.replace(", 127.0.0.1", ""),
        false => wanted.to_owned(),
    };
    assert_eq!(String::from_utf8_lossy(&arrived), wanted);
}

#[test]
fn other_bytes_pass_as_they_are() {
    let get = "GET / HTTP/1.1\r\n\r\n";
    let smtp = format!("EHLO x\r\n{get}");
    assert_eq!(arrives(&["-H"], &[smtp.clone().into()]), smtp.as_bytes());
    let plain = [get, get].concat();
    assert_eq!(arrives(&[], &[plain.clone().into()]), plain.as_bytes());
    if better(&HTTP) {
        return;
    }
    // Two lengths: the stream passes from the end of that header.
    let start = "POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n";
    let arrived = arrives(&["-H"], &[format!("{start}\r\n0\r\n\r\n{get}").into()]);
    let wanted = format!("{start}{OURS}\r\n0\r\n\r\n{get}");
    assert_eq!(String::from_utf8_lossy(&arrived), wanted);
}

/// A protocol that is not HTTP and has no lines: nothing is held back.
#[test]
fn a_dialogue_is_not_delayed() {
    let place = Place::new();
    let backend = Backend::echo(place.at());
    let pen = Starter::new(&place).args(["-H"]).server(&backend.at).start();
    let client = pen.connect();
    for byte in b"GET x\0\x01\x02" {
        client.send([*byte]);
        assert_eq!(client.receive(1), [*byte]);
    }
}
