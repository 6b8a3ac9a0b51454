//! Reads HTTP/1.1 requests (RFC 9112) strictly: it refuses a request that could be
//! understood in two ways. Nothing here does I/O.

use crate::http::is_token;

/// Most bytes of a request line and header fields together.
const HEAD: usize = 8192;
/// Most bytes of a body, which is a command line with CR LF.
pub const BODY: usize = crate::control::parse::LINE + 2;

/// The method of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Method {
    /// Asks for a document.
    Get,
    /// Asks for the header fields of a document.
    Head,
    /// Carries a command.
    Post,
    /// Any other, which is refused.
    Other,
}

/// A request without its body.
#[derive(Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The path, which begins with a `/`.
    pub path: &'a str,
    /// The part of the target after the `?`.
    pub query: &'a str,
    /// The host from the target, or else from the field Host; empty without either.
    pub host: &'a str,
    /// The origin of the page that sends the request, if the browser names it.
    pub origin: Option<&'a str>,
    /// The credentials, as browsers send them.
    pub authorization: Option<&'a str>,
    /// The token that only pen's own page knows.
    pub token: Option<&'a str>,
    /// The length of the body in bytes.
    pub length: usize,
    /// The client waits for `100 Continue` before it sends the body.
    pub waits: bool,
}

/// The HTTP status that pen answers a bad request with.
pub type Status = u16;

/// Finds the end of the head of a request, which is where the empty line begins. `None`
/// means that the empty line has not arrived. The first `seen` bytes have been searched
/// before and are not searched again, or else a head that arrives byte by byte would be
/// read thousands of times. The result does not depend on the pieces of the head.
pub fn end(data: &[u8], seen: usize) -> Result<Option<usize>, Status> {
    // The last of them may be the beginning of the line end.
    let start = seen.saturating_sub(3);
    let mut fours = data.get(start..).unwrap_or_default().windows(4);
    let end = fours.position(|four| four == b"\r\n\r\n").map(|at| start + at);
    let with_line = end.map_or(data.len(), |end| end + 4);
    let last = seen.checked_sub(1).and_then(|at| data.get(at));
    let fresh = data.get(seen..with_line).unwrap_or_default();
    if !is_text(last.copied().unwrap_or_default(), fresh) {
        return Err(400);
    }
    if end.unwrap_or(data.len()) > HEAD {
        return Err(431);
    }
    Ok(end)
}

/// Tells whether these bytes, which follow the byte `last`, can be part of a head: text
/// in lines that end with CR LF.
fn is_text(mut last: u8, bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| {
        let after_cr = std::mem::replace(&mut last, *byte) == b'\r';
        match byte {
            b'\n' => after_cr,
            b'\t' | b'\r' => !after_cr,
            _ => !after_cr && *byte >= b' ' && *byte != 0x7f,
        }
    })
}

/// Splits a text at a byte. It is one function, not inlined for each byte.
#[inline(never)]
pub(super) fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    text.split_once(char::from(at))
}

/// Reads the head of a request, up to the empty line.
#[inline(never)]
pub fn parse(head: &str) -> Result<Request<'_>, Status> {
    // One empty line before a request is ignored (RFC 9112, 2.2).
    let head = head.strip_prefix("\r\n").unwrap_or(head);
    let (line, mut rest) = cut(head, b'\n').unwrap_or((head, ""));
    let (method, line) = cut(line, b' ').ok_or(400_u16)?;
    let (target, version) = cut(line, b' ').ok_or(400_u16)?;
    let version = version.strip_suffix('\r').unwrap_or(version);
    let minor = match version.as_bytes() {
        [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ b'0'..=b'9'] => *minor,
        _ => return Err(400),
    };
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        "POST" => Method::Post,
        other if is_token(other.as_bytes()) => Method::Other,
        _ => return Err(400),
    };
    let (host, target) = split_target(target)?;
    let (path, query) = cut(target, b'?').unwrap_or((target, ""));
    let (mut field_host, mut coded, mut length) = (None, None, None);
    let mut request = Request {
        method,
        path,
        query,
        host: "",
        origin: None,
        authorization: None,
        token: None,
        length: 0,
        waits: false,
    };
    while !rest.is_empty() {
        let line;
        (line, rest) = cut(rest, b'\n').unwrap_or((rest, ""));
        let (name, value) = cut(line, b':').ok_or(400_u16)?;
        if !is_token(name.as_bytes()) {
            return Err(400);
        }
        let value = value.trim_ascii();
        let field = match name.to_ascii_lowercase().as_str() {
            "expect" => {
                request.waits = minor != b'0' && value.eq_ignore_ascii_case("100-continue");
                continue;
            }
            "host" => &mut field_host,
            "origin" => &mut request.origin,
            "authorization" => &mut request.authorization,
            "x-pen-token" => &mut request.token,
            "content-length" => &mut length,
            "transfer-encoding" => &mut coded,
            _ => continue,
        };
        if field.replace(value).is_some() {
            return Err(400);
        }
    }
    let has_host = field_host.is_some() || minor == b'0';
    request.host = host.or(field_host).unwrap_or_default();
    if !has_host || (coded.is_some() && length.is_some()) {
        return Err(400);
    }
    if coded.is_some() {
        return Err(411);
    }
    if let Some(length) = length {
        if length.is_empty() || !length.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(400);
        }
        // Too large for a number is too large.
        request.length = length.parse().unwrap_or(usize::MAX);
        if request.length > BODY {
            return Err(413);
        }
    }
    Ok(request)
}

/// Splits a target into its host, if it is an absolute one, and the rest.
fn split_target(target: &str) -> Result<(Option<&str>, &str), Status> {
    if target.starts_with('/') {
        return Ok((None, target));
    }
    let rest = target.strip_prefix("http://").ok_or(400_u16)?;
    let end = rest.bytes().position(|byte| matches!(byte, b'/' | b'?'));
    let (host, path) = rest.split_at_checked(end.unwrap_or(rest.len())).ok_or(400_u16)?;
    Ok((Some(host), if path.starts_with('/') { path } else { "/" }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_with_everything() {
        let head = "POST /control?a=b HTTP/1.1\r\nhost: a:1\r\nORIGIN:http://a:1\r\n\
            Authorization: Basic eDp5\r\nX-Pen-Token: \t 0f \r\nContent-Length: 12\r\n\
            Expect: 100-Continue\r\nAccept: */*";
        let request = Request {
            method: Method::Post,
            path: "/control",
            query: "a=b",
            host: "a:1",
            origin: Some("http://a:1"),
            authorization: Some("Basic eDp5"),
            token: Some("0f"),
            length: 12,
            waits: true,
        };
        assert_eq!(parse(head), Ok(request));
    }

    #[test]
    fn targets_and_versions() {
        let get = |line: &str| parse(line).map(|r| (r.path.to_owned(), r.host.to_owned()));
        let good = |path: &str, host: &str| Ok((path.to_owned(), host.to_owned()));
        assert_eq!(get("\r\nGET / HTTP/1.0"), good("/", ""));
        assert_eq!(get("GET /x HTTP/1.9\r\nHost: a"), good("/x", "a"));
        assert_eq!(get("GET http://b/x?y HTTP/1.1\r\nHost: a"), good("/x", "b"));
        assert_eq!(get("GET http://b HTTP/1.1\r\nHost: a"), good("/", "b"));
        let head = parse("HEAD / HTTP/1.0").unwrap();
        assert_eq!(head.method, Method::Head);
        assert_eq!(parse("BREW / HTTP/1.0").unwrap().method, Method::Other);
    }

    #[test]
    fn what_is_odd_is_refused() {
        for (status, head) in [
            (400, ""),
            (400, "GET"),
            (400, "\r\n\r\nGET / HTTP/1.0"),
            (400, "GET /"),
            (400, "GET / HTTP/1.1"),
            (400, "GET  / HTTP/1.0"),
            (400, "GET / HTTP/1.0 "),
            (400, " GET / HTTP/1.0"),
            (400, " / HTTP/1.0"),
            (400, "GET / HTTP/2.0"),
            (400, "GET / HTTP/1."),
            (400, "GET / HTTP/1.10"),
            (400, "GET / http/1.1\r\nHost: a"),
            (400, "G(T / HTTP/1.0"),
            (400, "GET x HTTP/1.0"),
            (400, "OPTIONS * HTTP/1.0"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\nx"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\n : x"),
            (400, "GET / HTTP/1.1\r\nHost : a"),
            (400, "GET / HTTP/1.1\r\nHost: a\r\n folded"),
            (400, "GET / HTTP/1.0\r\nContent-Length: -1"),
            (400, "GET / HTTP/1.0\r\nContent-Length: +1"),
            (400, "GET / HTTP/1.0\r\nContent-Length: 1, 1"),
            (400, "GET / HTTP/1.0\r\nContent-Length: "),
            (400, "GET / HTTP/1.0\r\nContent-Length: 1\r\nContent-Length: 1"),
            (400, "GET / HTTP/1.0\r\nOrigin: a\r\nOrigin: a"),
            (400, "POST / HTTP/1.0\r\nContent-Length: 1\r\nTransfer-Encoding: chunked"),
            (411, "POST / HTTP/1.0\r\nTransfer-Encoding: chunked"),
            (413, "POST / HTTP/1.0\r\nContent-Length: 4098"),
            (413, "POST / HTTP/1.0\r\nContent-Length: 99999999999999999999"),
        ] {
            assert_eq!(parse(head), Err(status), "{head}");
        }
    }

    #[test]
    fn the_end_of_a_head() {
        assert_eq!(end(b"GET / HTTP/1.0\r\n\r", 0), Ok(None));
        assert_eq!(end(b"GET / HTTP/1.0\r\n\r\n\0\n", 0), Ok(Some(14)));
        assert_eq!(end(b"GET / HTTP/1.0\r\r\n\r\n", 0), Err(400));
        assert_eq!(end(&[b'x'; HEAD], 0), Ok(None));
        assert_eq!(end(&[b'x'; HEAD + 1], 0), Err(431));
        let longest = ["x".repeat(HEAD).as_bytes(), b"\r\n\r\n"].concat();
        assert_eq!(end(&longest, 0), Ok(Some(HEAD)));
        for seen in 1..=longest.len() - 1 {
            assert_eq!(end(&longest, seen), Ok(Some(HEAD)));
        }
    }

    #[test]
    fn what_was_seen_is_not_looked_at_again() {
        assert_eq!(end(b"\0\0\0\0A: b\r\n\r\n", 4), Ok(Some(8)));
        assert_eq!(end(b"\r\n\r\n\0\0\0x", 7), Ok(None));
        assert_eq!(end(b"A\r", 2), Ok(None));
        assert_eq!(end(b"A\rB", 2), Err(400));
    }

    #[test]
    fn binary_data_and_bare_ends_of_lines_are_no_text() {
        for text in ["", "GET", "\r\nGET", "G\r\n\r\n", "\u{e9}\t", "G\r"] {
            assert!(is_text(0, text.as_bytes()), "{text:?}");
        }
        for bytes in [&b"\x16\x03\x01"[..], b"\n", b"G\0", b"G\n", b"G\rE", b"\r\r", b"\x7f"] {
            assert!(!is_text(0, bytes), "{bytes:?}");
        }
    }
}
