//! Text that strangers sent, made harmless for those who read it.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something to what is shown around it: ends a line,
/// moves or colours, or turns the direction of writing.
fn is_harmful(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}')
        || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Replaces control characters, as what a stranger sent may be in the text.
pub fn printable(text: &str) -> String {
    escaped(text, is_harmful)
}

/// Replaces control characters except the ends of lines.
pub(crate) fn printable_lines(text: String) -> String {
    let is_harmful = |c| c != '\n' && is_harmful(c);
    if text.contains(is_harmful) { escaped(&text, is_harmful) } else { text }
}

fn escaped(text: &str, is_harmful: impl Fn(char) -> bool) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match u32::from(c) {
            _ if !is_harmful(c) => out.push(c),
            code @ ..=0xff => drop(write!(out, "\\x{code:02x}")),
            code => drop(write!(out, "\\u{{{code:x}}}")),
        }
    }
    out
}

/// A line of somebody else's log, with dots for what could make it look like
/// another one. Tabs stay, and a CR at its end.
pub fn harmless(line: &[u8]) -> Cow<'_, [u8]> {
    let (text, end) = match line {
        [text @ .., b'\r'] => (text, &b"\r"[..]),
        text => (text, &b""[..]),
    };
    if text.iter().all(|byte| matches!(byte, b'\t' | b' '..=b'~')) {
        return line.into();
    }
    let mut out = Vec::with_capacity(line.len());
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            let c = if c != '\t' && is_harmful(c) { '.' } else { c };
            out.extend(c.encode_utf8(&mut [0; 4]).bytes());
        }
        // In Latin-1 there are control characters, too.
        let bytes = chunk.invalid().iter();
        out.extend(bytes.map(|byte| match byte {
            0x80..=0x9f => b'.',
            byte => *byte,
        }));
    }
    out.extend_from_slice(end);
    out.into()
}

/// Decodes the escape at the front of `text`, if there is one, and returns its
/// byte and the rest. Apache escapes with `\"`, `\\`, letters as in C (`\t`) and
/// `\xhh`, nginx with `\xHH`.
pub(crate) fn unescape(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let (escape, rest) = text.strip_prefix(b"\\")?.split_first()?;
    let byte = match escape {
        b'x' => {
            let ([high, low], rest) = rest.split_first_chunk()?;
            let byte = u8::try_from(digit(*high)? << 4 | digit(*low)?).ok()?;
            return Some((byte, rest));
        }
        b'"' | b'\\' => *escape,
        b'a' => 7,
        b'b' => 8,
        b't' => b'\t',
        b'n' => b'\n',
        b'v' => 11,
        b'f' => 12,
        b'r' => b'\r',
        _ => return None,
    };
    Some((byte, rest))
}

/// Replaces a byte that is not printable ASCII by a dot, as pen's log does.
pub(crate) fn dotted(byte: u8) -> u8 {
    match byte {
        b' '..=b'~' => byte,
        _ => b'.',
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_escaped() {
        assert_eq!(printable("a\x1b[1m\nb\u{85}é"), "a\\x1b[1m\\x0ab\\x85é");
    }

    #[test]
    fn what_turns_a_line_around_is_escaped() {
        assert_eq!(printable("a\u{202e}b\u{2028}"), "a\\u{202e}b\\u{2028}");
        let lines = |text: &str| printable_lines(text.to_owned());
        assert_eq!(lines("a\nb\n"), "a\nb\n");
        assert_eq!(lines("a\x1b\nb\r\n"), "a\\x1b\nb\\x0d\n");
    }

    #[test]
    fn lines_of_others_are_made_harmless() {
        for (line, want) in [
            (&b"a\tb c\r"[..], &b"a\tb c\r"[..]),
            (b"a\rb\x1b[1m\0\x7f\r", b"a.b.[1m..\r"),
            ("caf\u{e9} \u{85}\u{202e}x".as_bytes(), "caf\u{e9} ..x".as_bytes()),
            (b"caf\xe9 \x9b1m", b"caf\xe9 .1m"),
            (b"", b""),
        ] {
            assert_eq!(*harmless(line), *want);
        }
    }
}
