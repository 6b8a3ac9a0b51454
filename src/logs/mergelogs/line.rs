//! Parses a web server's log line in the common or combined form, and makes the
//! key under which its request is found in pen's log.

use super::date;
use crate::logs::request_text;
use crate::sys::text::{self, dotted};

/// pen logs this many bytes of a request.
pub(super) const REQUEST: usize = 100;

/// Positions in a line, in bytes, and its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Positions {
    /// The end of the first word, which is the client.
    pub(super) client_end: usize,
    /// The start and the end of the date, without its brackets.
    pub(super) date: (usize, usize),
    /// The same date in seconds since 1970.
    pub(super) time: i64,
}

/// Finds the client and the date. Returns `None` if the line does not have
/// both.
pub(super) fn positions(line: &[u8]) -> Option<Positions> {
    let client_end = line.iter().position(|byte| *byte == b' ')?;
    let mut from = client_end;
    // A user's name may contain brackets, so this tries each one.
    loop {
        let rest = line.get(from..)?;
        from += 1 + rest.iter().position(|byte| *byte == b'[')?;
        if let Some((time, length)) = date::parse(line.get(from..)?) {
            return Some(Positions { client_end, date: (from, from + length), time });
        }
    }
}

/// Returns the first quoted text after the date, which is the request, as the web
/// server wrote it. A line that ends before the second quote must have as much
/// of the request as pen logs.
pub(super) fn request(rest: &[u8]) -> Option<&[u8]> {
    let (text, is_closed) = request_text::quoted(rest)?;
    // The web server may have written up to four bytes (`\xhh`) for one.
    (is_closed || text.len() >= 4 * REQUEST).then_some(text)
}

/// Makes the key of a request in pen's log, or in the log of a web server that does not
/// escape.
pub(super) fn plain_key(request: &[u8]) -> Vec<u8> {
    request.iter().take(REQUEST).map(|byte| dotted(*byte)).collect()
}

/// Makes the key of a request in the log of a web server that escapes. It ends before
/// a CR or LF, as in pen's log.
pub(super) fn escaped_key(mut request: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    while key.len() < REQUEST {
        let byte;
        (byte, request) = match (text::unescape(request), request) {
            (Some(unescaped), _) => unescaped,
            (None, [b'\\', b'e', rest @ ..]) => (b'\x1b', rest),
            (None, [b'\\', byte, rest @ ..] | [byte, rest @ ..]) => (*byte, rest),
            (None, []) => break,
        };
        if matches!(byte, b'\r' | b'\n') {
            break;
        }
        key.push(dotted(byte));
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "09/Sep/2001:01:46:40 +0000";

    #[test]
    fn client_and_date_are_found() {
        for before in ["192.0.2.1 - - ", "192.0.2.1 - John Doe ", "host ", " ", "h - a[b "] {
            let line = format!("{before}[{DATE}] \"GET / HTTP/1.0\" 200 1");
            let found = positions(line.as_bytes()).unwrap();
            assert_eq!(found.time, 1_000_000_000);
            assert_eq!(found.client_end, before.find(' ').unwrap());
            assert_eq!(line[found.date.0..found.date.1], *DATE);
        }
        for line in ["", "garbage", "h - - [", "h - - [x] \"GET /\"", "[", " "] {
            assert_eq!(positions(line.as_bytes()), None, "{line}");
        }
        assert_eq!(positions(format!("[{DATE}] x").as_bytes()), None, "no client");
    }

    #[test]
    fn requests_are_found() {
        let long = format!(" \"{}", "x".repeat(400));
        for (rest, expected) in [
            (r#"] "GET / HTTP/1.0" 200 "ref""#, Some("GET / HTTP/1.0")),
            (r#"] "a\"b" "c""#, Some(r#"a\"b"#)),
            (r#"] "a\\" "c""#, Some(r"a\\")),
            (r#"] """#, Some("")),
            (r"] none", None),
            (r#"] "cut off"#, None),
            (&long, Some(&long[2..])),
        ] {
            let found = request(rest.as_bytes()).map(|r| std::str::from_utf8(r).unwrap());
            assert_eq!(found, expected, "{rest}");
        }
    }

    fn keys(request: &[u8]) -> (String, String) {
        let text = |key| String::from_utf8(key).unwrap();
        (text(plain_key(request)), text(escaped_key(request)))
    }

    #[test]
    fn keys_are_what_pen_logs() {
        for (request, escaped) in [
            (&br"GET /\x41\xc3\xA9\x07 H"[..], "GET /A... H"),
            (br#"GET /a\"b\\c\t H"#, "GET /a\"b\\c. H"),
            (b"GET /\xc3\xa9\x07\x7f H", "GET /.... H"),
            (br"GET /a\rb", "GET /a"),
            (br"GET /a\x0Ab", "GET /a"),
            (br"a\xg1\x1", "axg1x1"),
            (br"a\", "a\\"),
        ] {
            assert_eq!(keys(request).1, escaped);
        }
        assert_eq!(keys(b"GET /\\x41\xff").0, "GET /\\x41.");
        let long = [b'x'; 5000];
        assert_eq!(keys(&long), ("x".repeat(REQUEST), "x".repeat(REQUEST)), "cut");
    }

    #[test]
    fn digits_have_their_values() {
        for value in 0..=255 {
            let text = format!("\\x{value:02x}\\x{value:02X}");
            let byte = if matches!(value, b'\r' | b'\n') {
                String::new()
            } else {
                String::from(char::from(dotted(value))).repeat(2)
            };
            assert_eq!(keys(text.as_bytes()).1, byte);
        }
    }
}
