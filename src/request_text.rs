//! The text of a request in logs. pen and a web server write the same request
//! differently: pen writes a dot for what is not printable ASCII (the C program
//! writes the byte), a web server writes `\xe9`, `\t`, `\"` and `\\`. So both
//! are brought to the form with dots before they are compared.

/// The byte as pen's log has it: a dot for what is not printable ASCII.
pub(crate) fn dotted(byte: u8) -> u8 {
    match byte {
        b' '..=b'~' => byte,
        _ => b'.',
    }
}

/// What stands between the first quote and the next that is not escaped, or the
/// end of a text that was cut; and whether that next quote is there.
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

/// The byte that an escape stands for, and what follows it, if `text` begins
/// with one of those of Apache (`\"`, `\\`, `\t` and the like, `\xhh`) and of
/// nginx (`\xHH`).
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
