//! Parses the two kinds of lines that penlogd receives: reports of pens, and
//! log lines of web servers. Nothing here does I/O.

use crate::logs::request_text;
use crate::sys::text;
use std::borrow::Cow;
use std::net::IpAddr;

/// Longest line that pen sends, in bytes without the newline: pen's datagrams
/// have at most 1024 bytes. A line of this length may have been cut.
pub(super) const LONGEST: usize = 1023;
/// Longest name of a client or server, in bytes. An IPv6 address takes up to
/// 45, and a link-local one has a scope behind it.
const LONGEST_NAME: usize = 64;

/// A request that pen reported.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PenRequest<'a> {
    /// The client, as pen wrote it.
    pub(super) client: &'a [u8],
    /// The server that pen passed the request to.
    pub(super) server: IpAddr,
    /// The first line of the request, with dots for what is not printable
    /// ASCII.
    pub(super) text: Vec<u8>,
    /// The request may have been longer than this.
    pub(super) cut: bool,
}

/// Tells a pen's report from a web server's log line.
pub(super) fn is_from_pen(line: &[u8]) -> bool {
    line.starts_with(b"+ ")
}

/// Parses `+ client server request`. Returns `None` if the line is malformed,
/// and also if no web server can log such a request: it is empty, or the server
/// is a Unix socket.
pub(super) fn pen_request(line: &[u8]) -> Option<PenRequest<'_>> {
    let mut parts = line.strip_prefix(b"+ ")?.splitn(3, |byte| *byte == b' ');
    let client = parts.next()?;
    let server = parts.next()?;
    let text = parts.next()?;
    let is_name = |name: &[u8]| {
        (1..=LONGEST_NAME).contains(&name.len()) && name.iter().all(|byte| byte.is_ascii_graphic())
    };
    if !is_name(client) || !is_name(server) {
        return None;
    }
    let server = std::str::from_utf8(server).ok()?;
    // Another host's name of its interface says nothing here.
    let server = server.split('%').next().unwrap_or_default();
    let server: IpAddr = server.parse().ok()?;
    let text = dotted(text.get(..LONGEST).unwrap_or(text).trim_ascii());
    if text.is_empty() {
        return None;
    }
    // A line can be full of blanks and its request short. It counts as whole:
    // each length of cut requests costs a look-up.
    let cut = line.len() >= LONGEST && text.len() >= LONGEST - 3 * LONGEST_NAME;
    Some(PenRequest { client, server: server.to_canonical(), text, cut })
}

/// The request in a web server's line, in every form in which pen may have
/// reported it: with the web server's escapes undone; as it stands, because
/// some web servers do not escape; and with an HTTP version, if it has none. A
/// line without a request has no form.
pub(super) fn request_forms(line: &[u8]) -> Vec<Vec<u8>> {
    let Some((quoted, _)) = request_text::quoted(line) else { return Vec::new() };
    // Other white space than blanks is a dot in pen's report, so it stays.
    let form = |text: &[u8]| dotted(text).trim_ascii().to_vec();
    let mut forms = vec![form(&unescaped(quoted))];
    if quoted.contains(&b'\\') {
        forms.push(form(quoted));
    }
    for form in forms.clone() {
        if !has_version(&form) {
            forms.push([&form[..], b" HTTP/1.1"].concat());
            forms.push([&form[..], b" HTTP/1.0"].concat());
        }
    }
    forms
}

/// Tells whether the last word of a request is an HTTP version.
fn has_version(text: &[u8]) -> bool {
    let last = text.rsplit(|byte| *byte == b' ').next();
    last.is_some_and(|word| word.starts_with(b"HTTP/"))
}

fn dotted(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| text::dotted(*byte)).collect()
}

fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        let byte;
        (byte, text) = text::unescape(text).unwrap_or((*first, rest));
        out.push(byte);
    }
    out
}

/// Replaces the first word of the line, which ends at a blank. A line whose
/// first word contains the request's quote stays as it is.
pub(super) fn with_client<'a>(line: &'a [u8], client: &[u8]) -> Cow<'a, [u8]> {
    match line.iter().position(|byte| matches!(byte, b' ' | b'"')) {
        Some(end) if line.get(end) == Some(&b' ') => {
            [client, line.get(end..).unwrap_or_default()].concat().into()
        }
        _ => line.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forms(line: &str) -> Vec<String> {
        let all = request_forms(line.as_bytes()).into_iter();
        all.map(|form| String::from_utf8(form).unwrap()).collect()
    }

    #[test]
    fn pens_lines() {
        let line = b"+ 192.0.2.7 ::ffff:192.0.2.1 GET /\xe9\" HTTP/1.0\r";
        let want = PenRequest {
            client: b"192.0.2.7",
            server: [192, 0, 2, 1].into(),
            text: b"GET /.\" HTTP/1.0".to_vec(),
            cut: false,
        };
        assert_eq!(pen_request(line), Some(want));
        let v6 = pen_request(b"+ unix fe80::1%eth0 x").unwrap();
        assert_eq!(v6.server, "fe80::1".parse::<IpAddr>().unwrap());
    }

    #[test]
    fn what_no_pen_sends_is_refused() {
        let long = format!("+ {} 192.0.2.1 GET /", "c".repeat(65));
        for line in [
            "",
            "+",
            "+ ",
            "+ 192.0.2.7",
            "+ 192.0.2.7 192.0.2.1",
            "+ 192.0.2.7 192.0.2.1 ",
            "+ 192.0.2.7 192.0.2.1 \r",
            "+ 192.0.2.7 web1 GET /",
            "+ 192.0.2.7 /run/web GET /",
            "+  192.0.2.1 GET /",
            "+ \u{7} 192.0.2.1 GET /",
            &long,
        ] {
            assert_eq!(pen_request(line.as_bytes()), None, "{line}");
        }
    }

    #[test]
    fn full_datagrams_may_be_cut_ones() {
        let mut line = b"+ 192.0.2.7 192.0.2.1 ".to_vec();
        line.resize(LONGEST - 1, b'x');
        assert!(!pen_request(&line).unwrap().cut);
        line.push(b'x');
        assert!(pen_request(&line).unwrap().cut);
        line.truncate(300);
        line.resize(LONGEST, b' ');
        assert!(!pen_request(&line).unwrap().cut);
        line.resize(5000, b'x');
        assert_eq!(pen_request(&line).unwrap().text.len(), LONGEST);
    }

    #[test]
    fn the_request_is_found() {
        for (line, want) in [
            (r#"h - - [t] "GET / HTTP/1.0" 200 "-""#, "GET / HTTP/1.0"),
            (r#"h "GET /"#, "GET /"),
            (r#"h """#, ""),
            (r#""GET / " x"#, "GET /"),
            ("h \"caf\u{e9}\tx\"", "caf...x"),
        ] {
            assert_eq!(forms(line)[0], want);
        }
        assert!(forms("no request here").is_empty());
    }

    #[test]
    fn a_version_is_added_where_there_is_none() {
        assert_eq!(forms(r#"h "GET / HTTP/1.0""#), ["GET / HTTP/1.0"]);
        let want = ["GET /HTTP/", "GET /HTTP/ HTTP/1.1", "GET /HTTP/ HTTP/1.0"];
        assert_eq!(forms(r#"h "GET /HTTP/""#), want);
    }

    #[test]
    fn escapes_are_undone() {
        for (line, want) in [
            (r#"h "/a\"b" "no""#, r#"/a"b"#),
            (r#"h "/a\\" "no""#, r"/a\"),
            (r#"h "/\xe9\xC3\x22\t\n""#, r#"/..".."#),
            (r#"h "/\u00e9\xg1""#, r"/\u00e9\xg1"),
            (r#"h "/\x4"#, r"/\x4"),
            (r#"h "/\"#, r"/\"),
            (r#"h " /\x20\x0C\t ""#, "/ .."),
        ] {
            assert_eq!(forms(line)[0], want);
        }
        let line = r#"h "/a\"b HTTP/1.0""#;
        assert_eq!(forms(line), [r#"/a"b HTTP/1.0"#, r#"/a\"b HTTP/1.0"#]);
    }

    #[test]
    fn the_first_word_is_replaced() {
        for (line, want) in [
            ("127.0.0.1 - - \"x\"", "c - - \"x\""),
            (" - \"x\"", "c - \"x\""),
            ("\"x y\" 200", "\"x y\" 200"),
            ("\t\"x\" 200", "\t\"x\" 200"),
            ("word", "word"),
            ("", ""),
        ] {
            assert_eq!(with_client(line.as_bytes(), b"c"), want.as_bytes());
        }
    }
}
