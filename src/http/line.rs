//! The lines of an HTTP/1.x request, and what they say about where it ends
//! (RFC 9112, sections 3, 5 and 6). Pure.

use super::End;

/// A byte that a token may have (RFC 9110, 5.6.2).
fn is_token_byte(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte)
}

fn is_token(bytes: &[u8]) -> bool {
    !bytes.is_empty() && bytes.iter().all(is_token_byte)
}

/// `METHOD target HTTP/1.x`
pub(super) struct RequestLine {
    is_connect: bool,
    is_1_0: bool,
}

impl RequestLine {
    /// `None` if the line is something else.
    pub(super) fn parse(line: &[u8]) -> Option<RequestLine> {
        let mut words = line.split(|byte| *byte == b' ');
        let (method, target, version) = (words.next()?, words.next()?, words.next()?);
        let minor = version.strip_prefix(b"HTTP/1.")?;
        let whole = words.next().is_none() && !target.is_empty() && is_token(method);
        let known = matches!(minor, [digit] if digit.is_ascii_digit());
        (whole && known)
            .then_some(RequestLine { is_connect: method == b"CONNECT", is_1_0: minor == b"0" })
    }
}

/// `Name: value`
pub(super) struct Header<'a> {
    name: &'a [u8],
    /// Without the spaces around it.
    pub(super) value: &'a [u8],
}

impl Header<'_> {
    /// `None` if the line is none that every server reads alike.
    pub(super) fn parse(line: &[u8]) -> Option<Header<'_>> {
        let colon = line.iter().position(|byte| *byte == b':')?;
        let (name, value) = line.split_at(colon);
        let value = value.strip_prefix(b":")?.trim_ascii();
        is_token(name).then_some(Header { name, value })
    }

    /// Whether it is the header of this name, in whatever case.
    pub(super) fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name.as_bytes())
    }
}

/// What a header says so far.
#[derive(Debug, Default)]
pub(super) struct Framing {
    is_1_0: bool,
    other_protocol: bool,
    length: Option<u64>,
    /// The lengths do not agree or one is none.
    bad_length: bool,
    /// There is a transfer coding; whether the last one is `chunked`.
    chunked: Option<bool>,
    /// There is an X-Forwarded-For.
    pub(super) has_forwarded_for: bool,
    /// There is an X-Forwarded-Proto.
    pub(super) has_forwarded_proto: bool,
}

impl Framing {
    /// Of a request that begins with this line.
    pub(super) fn new(line: &RequestLine) -> Framing {
        Framing { is_1_0: line.is_1_0, other_protocol: line.is_connect, ..Framing::default() }
    }

    /// Takes a header into account.
    pub(super) fn see(&mut self, header: &Header) {
        if header.is("content-length") {
            for word in header.value.split(|byte| *byte == b',') {
                let length = length(word.trim_ascii());
                self.bad_length |= length.is_none();
                self.bad_length |= self.length.is_some() && self.length != length;
                self.length = length;
            }
        } else if header.is("transfer-encoding") {
            let codings: Vec<&[u8]> = header.value.split(|byte| *byte == b',').collect();
            let is_chunked = |word: &[u8]| word.trim_ascii().eq_ignore_ascii_case(b"chunked");
            let count = codings.iter().filter(|word| is_chunked(word)).count();
            let last = codings.last().is_some_and(|word| is_chunked(word));
            // Once, at the very end, in one header.
            self.chunked = Some(last && count == 1 && self.chunked.is_none());
        } else if header.is("upgrade") {
            self.other_protocol = true;
        } else if header.is("x-forwarded-for") {
            self.has_forwarded_for = true;
        } else if header.is("x-forwarded-proto") {
            self.has_forwarded_proto = true;
        }
    }

    /// How long the body is; `None` if it comes in chunks.
    pub(super) fn body(&self) -> Result<Option<u64>, End> {
        match (self.chunked, self.length) {
            _ if self.bad_length => Err(End::Ambiguous),
            (Some(_), Some(_)) | (Some(false), None) => Err(End::Ambiguous),
            (Some(true), None) if self.is_1_0 => Err(End::Ambiguous),
            _ if self.other_protocol => Err(End::OtherProtocol),
            (Some(true), None) => Ok(None),
            (None, length) => Ok(Some(length.unwrap_or(0))),
        }
    }
}

/// Digits and nothing else.
fn length(word: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(word).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
