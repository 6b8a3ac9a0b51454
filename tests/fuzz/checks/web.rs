//! The end of a request to the web interface is found in whatever pieces it
//! comes, and a request that is understood can be written down so that it is
//! understood the same.
//!
//! An input is a byte that seeds the pieces, and what comes.

use super::http::pieces;
use pen::web::request::{self, BODY, Method, Request, Status};

pub fn check(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    let wanted = end(stream);
    assert_eq!(request::end(stream, 0), wanted, "in one piece");
    assert_eq!(found(pieces(stream, *seed)), wanted, "in pieces");
    assert_eq!(found(stream.chunks(1)), wanted, "byte by byte");
    let Ok(Some(end)) = wanted else { return };
    let Ok(head) = std::str::from_utf8(&stream[..end]) else { return };
    match request::parse(head) {
        // In a target there may be a tab.
        Ok(request) if request.host.contains('\t') => {}
        Ok(request) => assert_eq!(request::parse(&written(&request)), Ok(request), "{head:?}"),
        Err(status) => assert!([400, 411, 413].contains(&status), "{status}: {head:?}"),
    }
}

type End = Result<Option<usize>, Status>;

fn found<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> End {
    let mut data = Vec::new();
    for piece in pieces {
        let seen = data.len();
        data.extend_from_slice(piece);
        match request::end(&data, seen) {
            Ok(None) => {}
            other => return other,
        }
    }
    Ok(None)
}

/// Each byte as a character, split at each CR LF.
fn end(stream: &[u8]) -> End {
    let text: String = stream.iter().map(|byte| char::from(*byte)).collect();
    let (head, is_whole) = match text.split_once("\r\n\r\n") {
        Some((head, _)) => (head, true),
        None => (text.strip_suffix('\r').unwrap_or(&text), false),
    };
    let is_bad = |c: char| c.is_ascii_control() && c != '\t';
    if head.split("\r\n").any(|line| line.contains(is_bad)) {
        return Err(400);
    }
    Ok(is_whole.then(|| head.chars().count()))
}

/// A head that says all that is known of a request.
fn written(request: &Request) -> String {
    let method = match request.method {
        Method::Get => "GET",
        Method::Head => "HEAD",
        Method::Post => "POST",
        Method::Other => "OTHER",
    };
    assert!(request.path.starts_with('/') && request.length <= BODY, "{request:?}");
    let query = if request.query.is_empty() { "" } else { "?" };
    let (path, host) = (request.path, request.host);
    let mut head = format!("{method} {path}{query}{} HTTP/1.1\r\nHost: {host}", request.query);
    let length = (request.length > 0).then(|| request.length.to_string());
    for (name, value) in [
        ("Origin", request.origin),
        ("Authorization", request.authorization),
        ("X-Pen-Token", request.token),
        ("Content-Length", length.as_deref()),
        ("Expect", request.waits.then_some("100-continue")),
    ] {
        head += &value.map_or(String::new(), |value| format!("\r\n{name}: {value}"));
    }
    head
}
