//! What becomes of requests, and of what is none.

use super::*;

const OURS: &str = "X-Forwarded-Proto: http\r\nX-Forwarded-For: 192.0.2.1\r\n";

fn track(pieces: &[&[u8]]) -> (String, Option<End>) {
    let exchange = Exchange::new();
    let mut tracker = Tracker::new("192.0.2.1", &exchange);
    let mut out = Vec::new();
    for piece in pieces {
        tracker.feed(piece, &mut out);
        assert!(tracker.end().is_none() || tracker.held() == 0);
    }
    tracker.finish(&mut out);
    (String::from_utf8_lossy(&out).into_owned(), tracker.end())
}

/// What comes out of `input`, in one piece and byte by byte.
fn becomes(input: &str, wanted: &str, end: Option<End>) {
    let wanted = (wanted.to_owned(), end);
    assert_eq!(track(&[input.as_bytes()]), wanted, "{input}");
    let bytes: Vec<&[u8]> = input.as_bytes().chunks(1).collect();
    assert_eq!(track(&bytes), wanted, "byte by byte: {input}");
}

/// `>` marks where our two fields are put.
fn check(marked: &str, end: Option<End>) {
    becomes(&marked.replace('>', ""), &marked.replace('>', OURS), end);
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
    let for_lf = OURS.replace("\r\n", "\n");
    let (out, end) = track(&[b"GET / HTTP/1.1\nHost: x\n\nGET / HTTP/1.1\r\n\r\n"]);
    let wanted = format!("GET / HTTP/1.1\nHost: x\n{for_lf}\nGET / HTTP/1.1\r\n{OURS}\r\n");
    assert_eq!((out, end), (wanted, None));
}

#[test]
fn ours_come_last_whatever_is_there() {
    let get = "GET / HTTP/1.1\r\n";
    let chunks = "GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n";
    let for_them = "X-FORWARDED-for: \"10.0.0.1\r\n";
    check(&format!("{get}{for_them}A: b\r\n{for_them}>\r\n{get}>\r\n"), None);
    check(&format!("{get}X-Forwarded-For:\r\n>\r\n"), None);
    for (field, left) in [
        ("x-forwarded-proto: https\r\n", ""),
        ("X-Forwarded-Proto: a,\r\n b\r\n", ""),
        ("X_Forwarded_For: 10.0.0.1\r\n", ""),
        ("x.forwarded-for: 10.0.0.1\r\n", ""),
        ("X-FORWARDED_PROTO: https\r\n", ""),
        ("X_Forwarded_Forx: 1\r\n", "X_Forwarded_Forx: 1\r\n"),
        ("XaForwarded-For: 1\r\n", "XaForwarded-For: 1\r\n"),
        ("X-Forwarded-Fo-: 1\r\n", "X-Forwarded-Fo-: 1\r\n"),
        ("A: b\r\n c\n\td\r\n", "A: b   c \td\r\n"),
        ("Connection: x-forwarded-FOR\r\n", ""),
        ("Connection: ,X-Forwarded-Proto,\r\n", ""),
        ("Connection: X-Forwarded-For\r\n , close,TE\r\n", "Connection: close, TE\r\n"),
        ("connection:  Upgrade,close\r\n", "connection:  Upgrade,close\r\n"),
    ] {
        let rest = format!("\r\n{chunks}{OURS}\r\n0\r\n");
        let input = format!("{get}{field}\r\n{chunks}\r\n0\r\n{field}\r\n");
        let trailer = if field.contains("onnection") { field } else { left };
        let trailer = trailer.replace("\r\n ,", "   ,");
        becomes(&input, &format!("{get}{left}{OURS}{rest}{trailer}\r\n"), None);
    }
    let trailers = "0\r\nX-Forwarded-For: 10.0.0.1\r\nA: b\r\n\r\n";
    let wanted = format!("{chunks}{OURS}\r\n0\r\nA: b\r\n\r\n");
    becomes(&format!("{chunks}\r\n{trailers}"), &wanted, None);
}

const GET: &str = "GET / HTTP/1.1\r\n>\r\n";
const UPGRADE: &str = "GET / HTTP/1.1\r\nUpgrade: websocket\r\n>\r\n";
const CONNECT: &str = "CONNECT x:443 HTTP/1.1\r\n>\r\n";
const HEAD: &str = "HEAD / HTTP/1.1\r\n>\r\n";
const SWITCHING: &str = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\n\r\n";

/// Whether another protocol has begun after these requests and answers, and
/// that what follows is treated accordingly.
fn switches(requests: &[&str], answers: &[&str]) -> bool {
    let run = |size: usize| {
        let exchange = Exchange::new();
        let mut tracker = Tracker::new("192.0.2.1", &exchange);
        let mut follower = Answers::new(&exchange);
        let mut out = Vec::new();
        let request = requests.concat();
        for piece in request.replace('>', "").as_bytes().chunks(size) {
            tracker.feed(piece, &mut out);
        }
        let answers = answers.concat();
        let _ = answers.as_bytes().chunks(size).all(|piece| follower.see(piece));
        tracker.feed(GET.replace('>', "").as_bytes(), &mut out);
        let has_switched = tracker.end() == Some(End::OtherProtocol);
        let next = GET.replace('>', if has_switched { "" } else { OURS });
        let wanted = request.replace('>', OURS) + &next;
        assert_eq!(String::from_utf8(out).unwrap(), wanted);
        has_switched
    };
    let has_switched = run(100_000);
    assert_eq!(run(1), has_switched, "byte by byte");
    has_switched
}

#[test]
fn another_protocol_begins_when_the_server_says_so() {
    let sized = "HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\n";
    // A body that looks like an answer.
    let body = &SWITCHING[..20];
    let chunks = "HTTP/1.0 200\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunks_1_1 = &chunks.replace("1.0", "1.1");
    let interim = "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nA: b\r\n\r\n";
    let none = "HTTP/1.1 304 Not Modified\r\nContent-Length: 20\r\n\r\n";
    for (requests, answers, wanted) in [
        (&[UPGRADE][..], &[SWITCHING][..], true),
        (&[UPGRADE], &[interim, SWITCHING], true),
        (&[CONNECT], &[OK], true),
        (&[CONNECT], &[interim, "HTTP/1.0 204\r\n\r\n"], true),
        (&[CONNECT], &["HTTP/1.1 407 No\r\nContent-Length: 0\r\n\r\n"], false),
        (&[UPGRADE], &[OK], false),
        (&[UPGRADE], &["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", SWITCHING], false),
        // Nobody has asked for it.
        (&[GET], &[SWITCHING], false),
        (&[], &[SWITCHING], false),
        (&[GET, UPGRADE], &[SWITCHING], false),
        // Behind other answers.
        (&[GET, UPGRADE], &[sized, body, SWITCHING], true),
        (&[GET, UPGRADE], &[chunks_1_1, "14\r\n", body, "\r\n0\r\nA: b\r\n\r\n", SWITCHING], true),
        (&[HEAD, UPGRADE], &[sized, SWITCHING], true),
        (&[GET, UPGRADE], &[none, SWITCHING], true),
        (&[UPGRADE, GET, CONNECT], &[none, none, OK], true),
        // What cannot be told for certain is no switch.
        (&[GET, UPGRADE], &[OK, SWITCHING], false),
        (&[GET, UPGRADE], &[chunks, "0\r\n\r\n", SWITCHING], false),
        (&[GET, UPGRADE], &["220 smtp\r\n", SWITCHING], false),
        (&[GET, UPGRADE], &["HTTP/1.1 200 OK\r\nContent-Length: 1, 2\r\n\r\n1", SWITCHING], false),
        (&[UPGRADE], &["HTTP/1.1 101 x\r\nA : b\r\n\r\n"], false),
        (&[UPGRADE], &["HTTP/1.1 1010 x\r\n\r\n"], false),
        (&[UPGRADE], &["HTTP/1.1 10 x\r\n\r\n"], false),
    ] {
        assert_eq!(switches(requests, answers), wanted, "{requests:?} {answers:?}");
    }
    // Longer than anyone waits.
    let many = vec![GET; 1001];
    let answers = vec![none; 1001];
    assert!(!switches(&[&many[..], &[UPGRADE]].concat(), &[&answers[..], &[SWITCHING]].concat()));
}

#[test]
fn what_is_said_before_the_switch_is_http_and_what_was_held_goes_on() {
    let exchange = Exchange::new();
    let mut tracker = Tracker::new("192.0.2.1", &exchange);
    let mut answers = Answers::new(&exchange);
    let mut out = Vec::new();
    let start = [UPGRADE, GET, "GET / HTTP/1.1\r\nA: b"].concat();
    tracker.feed(start.replace('>', "").as_bytes(), &mut out);
    assert!(tracker.held() == 4 && !answers.see(SWITCHING.as_bytes()));
    tracker.feed(b"\r\n\r\n", &mut out);
    assert_eq!(tracker.end(), Some(End::OtherProtocol));
    let wanted = start.replace('>', OURS) + "\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), wanted);
}

#[test]
fn a_body_of_connect_is_none_to_some() {
    let ambiguous = Some(End::Ambiguous);
    let next = "GET / HTTP/1.1\r\n\r\n";
    check(&format!("CONNECT x HTTP/1.1\r\nContent-Length: 18\r\n>\r\n{next}"), ambiguous);
    check(&format!("CONNECT x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n>\r\n{next}"), ambiguous);
    check("CONNECT x HTTP/1.1\r\nContent-Length: 0\r\n>\r\nGET / HTTP/1.1\r\n>\r\n", None);
}

#[test]
fn what_is_not_http_passes() {
    for text in [
        "EHLO x\r\nGET / HTTP/1.1\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET /\r\nHost: x\r\n\r\n",
        "GET / HTTP/1.1\rX: y\r\n\r\n",
        "G\"T / HTTP/1.1\r\n\r\n",
        " GET / HTTP/1.1\r\n\r\n",
    ] {
        becomes(text, text, Some(End::NotHttp));
    }
    becomes("\u{0}\u{1}\r", "\u{0}\u{1}\r", None);
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
        "Content-Length: 5 6\r\n",
        // Ours are in front of these, too.
        ">Content-Length : 5\r\n",
        "A: b\r\n>Content-Length\r\n: 5\r\n",
        ">Content-Len\u{e9}: 5\r\n",
        ">: 5\r\n",
        ">X: y\rContent-Length: 5\r\n",
        // The first line of a head cannot go on another.
        "> A: b\r\n",
    ] {
        check(&format!("POST / HTTP/1.1\r\n{headers}>\r\n{next}"), ambiguous);
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
        "3;a\rb\r\nabc\r\n",
        "0\r\nA : b\r\n",
        "0\r\nA: b\rc\r\n",
    ] {
        check(&format!("{chunked}{body}{next}"), ambiguous);
    }
    check(&format!("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n>\r\n{next}"), ambiguous);
    // The same length twice is one length.
    check("POST / HTTP/1.1\r\nContent-Length: 2, 2\r\n>\r\nabGET / HTTP/1.1\r\n>\r\n", None);
}

#[test]
fn what_is_too_long_passes() {
    let long = "x".repeat(32 * 1024);
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
