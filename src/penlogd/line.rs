//! The lines that come in: what pen says about a request, and where in a web
//! server's line the request is. Pure.

use crate::request_text;
use std::borrow::Cow;
use std::net::IpAddr;

/// Bytes of the longest line that pen sends, without the newline: its datagram
/// has at most 1024. A line of this length may be a cut one.
pub(super) const LONGEST: usize = 1023;
/// Most bytes of the client's and of the server's name. An address takes 45,
/// and the scope of a link-local one some more.
const LONGEST_NAME: usize = 64;

/// A request that pen passed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct PenRequest<'a> {
    /// Who asked, as pen wrote it.
    pub(super) client: &'a [u8],
    /// Which server got it.
    pub(super) server: IpAddr,
    /// Its first line, with dots.
    pub(super) text: Vec<u8>,
    /// Whether it may go on behind that.
    pub(super) cut: bool,
}

/// Whether a line comes from a pen. What does not, comes from a web server.
pub(super) fn is_from_pen(line: &[u8]) -> bool {
    line.starts_with(b"+ ")
}

/// Reads `+ client server request`. `None` if it is none, or if no web server
/// can ever ask for it: the request is empty, the server a Unix socket.
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
    // The scope of a link-local address means nothing on another host.
    let server = server.split('%').next().unwrap_or_default();
    let server: IpAddr = server.parse().ok()?;
    let text = dotted(text.get(..LONGEST).unwrap_or(text).trim_ascii());
    if text.is_empty() {
        return None;
    }
    // What is short because of its blanks was not cut: lengths without end
    // would each have to be looked up.
    let cut = line.len() >= LONGEST && text.len() >= LONGEST - 3 * LONGEST_NAME;
    Some(PenRequest { client, server: server.to_canonical(), text, cut })
}

/// The request in a web server's line, in the forms in which pen may have
/// written it: with the web server's escapes undone, as it stands (some do not
/// escape), and where the HTTP version is missing, with one. None if there is
/// no request.
pub(super) fn request_forms(line: &[u8]) -> Vec<Vec<u8>> {
    let Some((quoted, _)) = request_text::quoted(line) else {
        return Vec::new();
    };
    // Blanks alone are left out: of the others pen has made dots already.
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

/// Whether a request ends with ` HTTP/` and something.
fn has_version(text: &[u8]) -> bool {
    let last = text.rsplit(|byte| *byte == b' ').next();
    last.is_some_and(|word| word.starts_with(b"HTTP/"))
}

fn dotted(text: &[u8]) -> Vec<u8> {
    text.iter().map(|byte| request_text::dotted(*byte)).collect()
}

fn unescaped(mut text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some((first, rest)) = text.split_first() {
        let byte;
        (byte, text) = request_text::unescape(text).unwrap_or((*first, rest));
        out.push(byte);
    }
    out
}

/// The line with its first word replaced. Words are what blanks separate; a
/// line whose first word is the request itself is left alone.
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
