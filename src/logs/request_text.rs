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
