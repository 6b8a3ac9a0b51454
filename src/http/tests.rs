//! What becomes of requests, and of what is none.

use super::*;

const FOR: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.1\r\n";

fn track(pieces: &[&[u8]]) -> (String, Option<End>) {
    let mut tracker = Tracker::new("192.0.2.1".to_owned());
    let mut out = Vec::new();
    for piece in pieces {
        tracker.feed(piece, &mut out);
    }
    tracker.finish(&mut out);
    let sent: usize = pieces.iter().map(|piece| piece.len()).sum();
    assert_eq!(out.len() as u64, sent as u64 + tracker.added());
    (String::from_utf8_lossy(&out).into_owned(), tracker.end())
}

/// `>` marks where our two headers are put, `+` where the client is added.
fn check(marked: &str, end: Option<End>) {
    let input = marked.replace(['>', '+'], "");
    let wanted = marked.replace('>', FOR).replace('+', ", 192.0.2.1");
    assert_eq!(track(&[input.as_bytes()]), (wanted.clone(), end), "{marked}");
    let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
    assert_eq!(track(&bytes), (wanted, end), "byte by byte: {marked}");
}

#[test]
fn every_request_of_a_connection() {
    check("GET / HTTP/1.0\r\n>\r\n", None);
    let get = "GET /a HTTP/1.1\r\nHost: x\r\n>\r\n";
    let post = "POST /b HTTP/1.1\r\nContent-Length: 5\r\n>\r\nGET /";
    let chunks = "PUT /c HTTP/1.1\r\nTransfer-Encoding: gzip, chunked\r\n>\r\n\
        5;x=y\r\nGET /\r\n0A \r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n";
    check(&[get, post, "\r\n\r\n", chunks, get, chunks, get].concat(), None);
    check("OPTIONS * HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n>\r\nab", None);
}

#[test]
fn bare_line_feeds_end_lines() {
    let for_lf = FOR.replace("\r\n", "\n");
    let (out, end) = track(&[b"GET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\n\r\n"]);
    let wanted = format!("GET / HTTP/1.1\nHost: x\n{for_lf}\nGET / HTTP/1.1\r\n{FOR}\r\n");
    assert_eq!((out, end), (wanted, None));
}

#[test]
fn headers_that_are_there() {
    let get = "GET / HTTP/1.1\r\n";
    let proto = "X-Forwarded-Proto: http\r\n";
    let forwarded = "X-FORWARDED-for: 10.0.0.1";
    let (out, _) = track(&[format!("{get}{forwarded}\r\nA: b\r\n\r\n").as_bytes()]);
    assert_eq!(out, format!("{get}{forwarded}, 192.0.2.1\r\nA: b\r\n{proto}\r\n"));
    let secure = "x-forwarded-proto: https\r\n";
    let (out, _) = track(&[format!("{get}{secure}\r\n").as_bytes()]);
    assert_eq!(out, format!("{get}{secure}X-Forwarded-For: 192.0.2.1\r\n\r\n"));
    // Several, empty, and continued lines: the last word is always ours.
    check(&format!("{get}{secure}{forwarded}+\r\n{forwarded}\r\n , 10.0.0.2+\r\n\r\n"), None);
    let (out, _) = track(&[format!("{get}{secure}X-Forwarded-For:\r\n\r\n").as_bytes()]);
    assert_eq!(out, format!("{get}{secure}X-Forwarded-For: 192.0.2.1\r\n\r\n"));
}

#[test]
fn another_protocol_begins() {
    let other = Some(End::OtherProtocol);
    check("CONNECT x:443 HTTP/1.1\r\n>\r\nGET / HTTP/1.1\r\n\r\n", other);
    check("GET / HTTP/1.1\r\nUpgrade: websocket\r\n>\r\nGET / HTTP/1.1\r\n\r\n", other);
}

#[test]
fn what_is_not_http_passes() {
    for text in [
        "EHLO x\r\nGET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\nHost: x\r\n\r\n",
        "\u{0}\u{1}\u{2}",
        "GET / HTTP/1.1\rX: y\r\n\r\n",
        "G\"T / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
    ] {
        let pass = (text.to_owned(), (text.len() > 3).then_some(End::NotHttp));
        assert_eq!(track(&[text.as_bytes()]), pass);
    }
}

#[test]
fn what_can_be_read_in_two_ways_passes_from_there() {
    let ambiguous = Some(End::Ambiguous);
    let next = "GET / HTTP/1.1\r\n\r\n";
    for headers in [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        "Content-Length: 5, 6\r\n",
        "Content-Length: -5\r\n",
        "Content-Length: \r\n",
        "Content-Length: 99999999999999999999999\r\n",
        "Transfer-Encoding: chunked, gzip\r\n",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        "Transfer-Encoding: xchunked\r\n",
        "Content-Length: 5\r\n 6\r\n",
    ] {
        check(&format!("POST / HTTP/1.1\r\n{headers}>\r\n{next}"), ambiguous);
    }
    for headers in [
        "Content-Length : 5\r\n",
        "Content-Length\r\n",
        "Content-Len\u{e9}: 5\r\n",
        ": 5\r\n",
        "X: y\rContent-Length: 5\r\n",
    ] {
        check(&format!("POST / HTTP/1.1\r\nA: b\r\n{headers}\r\n{next}"), ambiguous);
    }
    let chunked = "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n>\r\n";
    for body in [
        "5\nabcde\r\n",
        "x\r\n",
        "-1\r\n",
        "\r\n",
        "ffffffffffffffff\r\n",
        "5 5\r\n",
        "8000000000000000\r\n",
        "3\r\nabcXX5\r\n",
        "3\r\nabc\n",
        "3\r\nabc\nX\r\n",
    ] {
        check(&format!("{chunked}{body}{next}"), ambiguous);
    }
    check(&format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n>\r\n{next}"), ambiguous);
    // The same length twice is one length.
    check("POST / HTTP/1.1\r\nContent-Length: 2, 2\r\n>\r\nabGET / HTTP/1.1\r\n>\r\n", None);
}

#[test]
fn what_is_too_long_passes() {
    let long = "x".repeat(LIMIT);
    check(&format!("GET /{long} HTTP/1.1\r\n\r\n"), Some(End::TooLong));
    check(&format!("GET / HTTP/1.1\r\nA: {long}\r\n\r\n"), Some(End::TooLong));
}

/// Requests put together at random, broken at random, split at random:
/// the output does not depend on the splits, and holds all of the input.
#[test]
fn any_split_gives_the_same() {
    const PARTS: &[&str] = &[
        "GET / HTTP/1.1\r\n",
        "POST /x HTTP/1.0\n",
        "Content-Length: 3\r\n",
        "abc",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        "Transfer-Encoding: chunked\r\n",
        "3\r\nabc\r\n",
        "0\r\n\r\n",
        "X-Forwarded-For: 1\r\n",
        " folded\r\n",
        "Upgrade: x\r\n",
        "A: b\r\n",
        ":",
        "\u{0}",
    ];
    let mut seed = 1_u64;
    let mut random = |below: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as usize % below
    };
    for _ in 0..20_000 {
        let input: String = (0..random(14)).map(|_| PARTS[random(PARTS.len())]).collect();
        let whole = track(&[input.as_bytes()]);
        let mut pieces = Vec::new();
        let mut rest = input.as_bytes();
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(1 + random(rest.len()));
            pieces.push(piece);
            rest = tail;
        }
        assert_eq!(track(&pieces), whole, "{input:?}");
    }
}
