//! The text of a request in logs.
//!
//! pen and a web server write the same request differently. pen writes a dot
//! for each byte that is not printable ASCII (the C pen writes the byte), and a
//! web server writes `\xe9`, `\t`, `\"` or `\\`. To be compared, both are
//! brought to the form with dots.

/// Finds the first quoted text. It ends before the next quote without a
/// backslash, or where a line was cut; `true` if that quote is there.
pub(crate) fn quoted(text: &[u8]) -> Option<(&[u8], bool)> {
    let start = text.iter().position(|byte| *byte == b'"')? + 1;
    let text = text.get(start..)?;
    let mut escaped = false;
    let is_end = |byte: &u8| {
        let end = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        end
    };
    match text.iter().position(is_end) {
        Some(end) => Some((text.get(..end)?, true)),
        None => Some((text, false)),
    }
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
