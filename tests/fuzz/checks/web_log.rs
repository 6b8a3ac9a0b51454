//! Requests as web servers write them to their logs.

/// As Apache escapes: names for some control characters.
pub fn apache(request: &[u8]) -> Vec<u8> {
    escaped(request, |byte| match byte {
        b'"' => Some("\\\"".to_owned()),
        b'\\' => Some("\\\\".to_owned()),
        b'\n' => Some("\\n".to_owned()),
        b'\r' => Some("\\r".to_owned()),
        b'\t' => Some("\\t".to_owned()),
        _ => None,
    })
}

/// As nginx does: numbers for all.
pub fn nginx(request: &[u8]) -> Vec<u8> {
    escaped(request, |byte| match byte {
        b'"' | b'\\' => Some(format!("\\x{byte:02X}")),
        _ => None,
    })
}

fn escaped(request: &[u8], name: impl Fn(u8) -> Option<String>) -> Vec<u8> {
    let mut text = Vec::new();
    for byte in request {
        match name(*byte) {
            Some(name) => text.extend(name.into_bytes()),
            None if matches!(byte, b' '..=b'~') => text.push(*byte),
            None => text.extend(format!("\\x{byte:02x}").into_bytes()),
        }
    }
    text
}

/// Shows both as text if they are not the same.
pub fn assert_same(found: &[u8], wanted: &[u8]) {
    let (shown, should) = (found.escape_ascii(), wanted.escape_ascii());
    assert!(found == wanted, "{shown}\nshould be\n{should}");
}

/// No control characters but tabs and the ends of lines.
pub fn assert_harmless(lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_harmful = |byte: &u8| byte.is_ascii_control() && *byte != b'\t';
        assert!(!line.iter().any(is_harmful), "{}", line.escape_ascii());
    }
}
