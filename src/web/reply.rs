//! Makes HTTP replies. Nothing here does I/O.

use crate::sys::date;
use std::borrow::Cow;
use std::fmt::Write as _;

/// A reply to a request.
pub(super) struct Reply {
    pub(super) status: u16,
    kind: &'static str,
    body: Cow<'static, str>,
    /// Another header field with its line end, or nothing.
    field: &'static str,
}

/// The policy lets a browser use the page's own script and style, and send requests to
/// this pen.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

impl Reply {
    /// Makes a reply with a document of this media type.
    pub(super) fn new(kind: &'static str, body: impl Into<Cow<'static, str>>) -> Reply {
        Reply { status: 200, kind, body: body.into(), field: "" }
    }

    /// Makes a reply with plain text.
    #[inline(never)]
    pub(super) fn text(status: u16, body: &str) -> Reply {
        Reply { status, ..Reply::new("text/plain; charset=utf-8", body.to_owned()) }
    }

    /// Adds a header field, which ends with CR LF.
    pub(super) fn with(self, field: &'static str) -> Reply {
        Reply { field, ..self }
    }

    /// Returns the bytes to send. `now` is in seconds since 1970.
    pub(super) fn bytes(&self, now: u64, with_body: bool) -> Vec<u8> {
        let mut out = String::with_capacity(self.body.len() + 512);
        let _ = write!(
            out,
            "HTTP/1.1 {} {}\r\nDate: {}\r\nContent-Type: {}\r\nContent-Length: {}\r\n{}\
             Content-Security-Policy: {POLICY}\r\n\
             X-Content-Type-Options: nosniff\r\nX-Frame-Options: DENY\r\n\
             Referrer-Policy: no-referrer\r\nCache-Control: no-store\r\n\
             Connection: close\r\n\r\n",
            self.status,
            reason(self.status),
            date::http(now),
            self.kind,
            self.body.len(),
            self.field,
        );
        if with_body {
            out.push_str(&self.body);
        }
        out.into_bytes()
    }
}

/// Returns the reason phrase of a status.
pub(super) fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        411 => "Length Required",
        413 => "Content Too Large",
        421 => "Misdirected Request",
        422 => "Unprocessable Content",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Bad Request",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reply_has_its_form() {
        let reply = Reply::text(405, "no\n").with("Allow: GET, HEAD\r\n");
        let with = String::from_utf8(reply.bytes(784_111_777, true)).unwrap();
        let without = String::from_utf8(reply.bytes(784_111_777, false)).unwrap();
        assert_eq!(with, format!("{without}no\n"));
        // The example of RFC 9110, 5.6.7.
        let start = "HTTP/1.1 405 Method Not Allowed\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\
            Content-Type: text/plain; charset=utf-8\r\nContent-Length: 3\r\nAllow: GET, HEAD\r\n";
        assert!(without.starts_with(start), "{without}");
        assert!(without.ends_with("\r\nConnection: close\r\n\r\n"), "{without}");
    }
}
