//! Reads the lines of HTTP/1.x messages, and finds out from them where a message ends
//! (RFC 9112, sections 3 to 6). Nothing here does I/O.

use super::message::Length;

/// Tells whether a token may contain this byte (RFC 9110, 5.6.2).
fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

/// Tells whether this can be a method or the name of a field.
pub(crate) fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

/// The method of a request, as far as the form of the answer depends on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    /// The answer has no body.
    Head,
    /// Another protocol begins after an answer 2xx.
    Connect,
    /// Any other method.
    Other,
}

/// Returns the digit that follows `HTTP/1.`
fn minor(version: &[u8]) -> Option<u8> {
    match version.strip_prefix(b"HTTP/1.")? {
        [digit] if digit.is_ascii_digit() => Some(*digit),
        _ => None,
    }
}

/// Reads `METHOD target HTTP/1.x`: returns the method, and whether x is 0. `None` means
/// that the line is something else.
pub(super) fn request_line(line: &[u8]) -> Option<(Method, bool)> {
    let mut words = line.split(|byte| *byte == b' ');
    let (method, target, version) = (words.next()?, words.next()?, words.next()?);
    let minor = minor(version)?;
    // Some servers take any CR for a line end.
    let is_whole = words.next().is_none() && !target.is_empty() && !target.contains(&b'\r');
    let kind = match method {
        b"HEAD" => Method::Head,
        b"CONNECT" => Method::Connect,
        _ => Method::Other,
    };
    (is_whole && is_token(method)).then_some((kind, minor == b'0'))
}

/// Reads `HTTP/1.x status reason`: returns the status, and whether x is 0. `None` means
/// that the line is something else.
pub(super) fn status_line(line: &[u8]) -> Option<(u16, bool)> {
    let mut words = line.splitn(3, |byte| *byte == b' ');
    let minor = minor(words.next()?)?;
    let status = words.next()?;
    let is_whole = status.len() == 3 && !line.contains(&b'\r');
    let status = number(status).and_then(|status| u16::try_from(status).ok())?;
    (is_whole && status >= 100).then_some((status, minor == b'0'))
}

/// A field, `Name: value`.
pub(super) struct Field<'a> {
    name: &'a [u8],
    /// The value without the white space around it.
    value: &'a [u8],
}

impl Field<'_> {
    /// Reads a line. `None` means that not every server reads it in the same way.
    pub(super) fn parse(line: &[u8]) -> Option<Field<'_>> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":")?.trim_ascii();
        (is_token(name) && !line.contains(&b'\r')).then_some(Field { name, value })
    }

    /// Tells whether the field has this name, in upper or lower case.
    fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }

    /// Tells whether the field is the same to a CGI program, as `HTTP_...`: servers replace
    /// all characters except letters and digits by one.
    fn is_like(&self, name: &str) -> bool {
        let mut pairs = self.name.iter().zip(name.as_bytes());
        self.name.len() == name.len()
            && pairs.all(|(a, b)| match a.is_ascii_alphanumeric() {
                true => a.eq_ignore_ascii_case(b),
                false => !b.is_ascii_alphanumeric(),
            })
    }

    /// Tells whether a server could take it for one of the fields that pen adds.
    pub(super) fn is_like_ours(&self) -> bool {
        self.is_like(FOR) || self.is_like(PROTO)
    }

    /// Tells whether it is X-Forwarded-For, of which a head may have several.
    pub(super) fn is_forwarded_for(&self) -> bool {
        self.is(FOR)
    }

    /// Returns the words of a field Connection without the names of pen's fields. `None`
    /// means that it has none of these, or is another field.
    pub(super) fn without_ours(&self) -> Option<Vec<&[u8]>> {
        let is_ours = |word: &&[u8]| {
            word.eq_ignore_ascii_case(FOR.as_bytes()) || word.eq_ignore_ascii_case(PROTO.as_bytes())
        };
        if !self.is("connection") || !self.words().any(|word| is_ours(&word)) {
            return None;
        }
        Some(self.words().filter(|word| !is_ours(word) && !word.is_empty()).collect())
    }

    /// Returns the elements of a list.
    fn words(&self) -> impl Iterator<Item = &[u8]> {
        self.value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii)
    }
}

const FOR: &str = "x-forwarded-for";
const PROTO: &str = "x-forwarded-proto";

/// What the fields of a head, so far, say about the length of the body.
#[derive(Debug, Default)]
pub(super) struct Framing {
    is_1_0: bool,
    /// The head has a field Upgrade.
    pub(super) upgrade: bool,
    length: Option<u64>,
    /// Whether `chunked` occurs once and last, if the head has a transfer coding.
    chunked: Option<bool>,
    /// The head can be read in more than one way.
    pub(super) is_ambiguous: bool,
}

impl Framing {
    /// Begins a head.
    pub(super) fn new(is_1_0: bool) -> Framing {
        Framing { is_1_0, ..Framing::default() }
    }

    /// Takes note of a field.
    pub(super) fn see(&mut self, field: &Field) {
        if field.is("content-length") {
            for word in field.words() {
                let length = number(word);
                let is_other = self.length.is_some() && self.length != length;
                self.is_ambiguous |= length.is_none() || is_other;
                self.length = length;
            }
        } else if field.is("transfer-encoding") {
            let is_chunked = |word: &[u8]| word.eq_ignore_ascii_case(b"chunked");
            let count = field.words().filter(|word| is_chunked(word)).count();
            let last = field.words().last().is_some_and(is_chunked);
            // `chunked` must occur once, at the very end, in one field.
            self.chunked = Some(last && count == 1 && self.chunked.is_none());
        } else if field.is("upgrade") {
            self.upgrade = true;
        }
    }

    /// Returns the length of the body, if the head has one. It fails if the head can be
    /// read in more than one way.
    pub(super) fn length(&self) -> Result<Option<Length>, ()> {
        match (self.chunked, self.length) {
            _ if self.is_ambiguous => Err(()),
            (None, length) => Ok(length.map(Length::Bytes)),
            (Some(true), None) if !self.is_1_0 => Ok(Some(Length::Chunks)),
            _ => Err(()),
        }
    }
}

/// Reads a number that consists of digits only.
fn number(word: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(word).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
