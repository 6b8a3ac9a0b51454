//! The HTTP tracker agrees with a model that has the whole stream before it,
//! in whatever pieces the stream comes: so its output is its input with headers
//! put in, and where they go in is right.
//!
//! An input is a byte that seeds the pieces, and the stream. In some streams
//! each `@` stands for a long text, so that the limit on headers is reached: in
//! one of 64, as these take long.

use pen::http::{End, Tracker};

const CLIENT: &str = "192.0.2.1";

/// Most bytes of a header, as the tracker has it.
const LIMIT: usize = 32 * 1024;

pub fn check(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else {
        return;
    };
    let sum = data.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    let mut stream = stream.to_vec();
    if sum % 64 == 0 && stream.iter().filter(|byte| **byte == b'@').count() <= 3 {
        let pieces: Vec<&[u8]> = stream.split(|byte| *byte == b'@').collect();
        stream = pieces.join("x".repeat(LIMIT - 100).as_bytes());
    }
    let wanted = Model::of(&stream);
    let whole = track([&stream[..]]);
    assert_eq!(whole, wanted, "in one piece");
    assert_eq!(track(pieces(&stream, *seed)), whole, "in pieces");
    assert_eq!(track(stream.chunks(1)), whole, "byte by byte");
}

/// What goes on, and why it is no longer followed.
type Outcome = (Text, Option<End>);

/// Bytes that are shown as text.
#[derive(PartialEq)]
struct Text(Vec<u8>);

impl std::fmt::Debug for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

fn track<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Outcome {
    let mut tracker = Tracker::new(CLIENT.to_owned());
    let mut out = Vec::new();
    let mut fed = 0;
    for piece in pieces {
        tracker.feed(piece, &mut out);
        fed += piece.len() as u64;
        // A line's end is all that may be held back.
        let passed = out.len() as u64 - tracker.added();
        assert!(passed <= fed && fed - passed <= 2, "{passed} of {fed}");
        assert!(tracker.end().is_none() || passed == fed, "held at the end");
    }
    tracker.finish(&mut out);
    assert_eq!(out.len() as u64, fed + tracker.added());
    (Text(out), tracker.end())
}

/// Pieces of 1 to 16 bytes, chosen by `seed`.
pub fn pieces(mut stream: &[u8], seed: u8) -> Vec<&[u8]> {
    let mut state = u32::from(seed) + 1;
    let mut all = Vec::new();
    while !stream.is_empty() {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        let length = (state >> 28) as usize + 1;
        let (piece, rest) = stream.split_at(length.min(stream.len()));
        all.push(piece);
        stream = rest;
    }
    all
}

/// Reads the whole stream at once.
struct Model<'a> {
    stream: &'a [u8],
    at: usize,
    /// Where the part began whose length is limited.
    part: usize,
    /// What is put in, and where.
    put: Vec<(usize, String)>,
}

/// Why it stops: the stream is at its end so far, or is not followed further.
type Stop = Option<End>;

/// A line, the place of its end, and that end.
type Line<'a> = (&'a [u8], usize, &'a [u8]);

impl<'a> Model<'a> {
    fn of(stream: &[u8]) -> Outcome {
        let (at, part, put) = (0, 0, Vec::new());
        let mut model = Model { stream, at, part, put };
        let stop = loop {
            if let Err(stop) = model.request() {
                break stop;
            }
        };
        let mut out = Vec::new();
        let mut from = 0;
        for (at, text) in &model.put {
            out.extend_from_slice(&stream[from..*at]);
            out.extend_from_slice(text.as_bytes());
            from = *at;
        }
        out.extend_from_slice(&stream[from..]);
        (Text(out), stop)
    }

    /// The next line; `bare` is what a CR makes of it that ends no line.
    fn line(&mut self, bare: End) -> Result<Line<'a>, Stop> {
        let start = self.at;
        let mut at = start;
        loop {
            let Some(byte) = self.stream.get(at) else {
                return Err(None);
            };
            if at - self.part >= LIMIT {
                return Err(Some(End::TooLong));
            }
            let after_cr = at > start && self.stream[at - 1] == b'\r';
            if *byte == b'\n' {
                let end = if after_cr { at - 1 } else { at };
                self.at = at + 1;
                return Ok((&self.stream[start..end], end, &self.stream[end..=at]));
            }
            if after_cr {
                return Err(Some(bare));
            }
            at += 1;
        }
    }

    fn begin(&mut self) {
        self.part = self.at;
    }

    fn request(&mut self) -> Result<(), Stop> {
        self.begin();
        let line = self.line(End::NotHttp)?.0;
        if line.is_empty() {
            return Ok(());
        }
        let line = text(line);
        let words: Vec<&str> = line.split(' ').collect();
        let [method, target, version] = words[..] else {
            return Err(Some(End::NotHttp));
        };
        let minor = version.strip_prefix("HTTP/1.").unwrap_or_default();
        let one_digit = minor.len() == 1 && minor.chars().all(|c| c.is_ascii_digit());
        if !is_token(method) || target.is_empty() || !one_digit {
            return Err(Some(End::NotHttp));
        }
        let headers = self.headers()?;
        self.body(method == "CONNECT", minor == "0", &headers)
    }

    /// Name, in small letters, and value of each header.
    fn headers(&mut self) -> Result<Vec<(String, String)>, Stop> {
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let (line, place, end) = self.line(End::Ambiguous)?;
            if line.is_empty() {
                let end = text(end);
                let is_there = |name| headers.iter().any(|(other, _)| other == name);
                if !is_there("x-forwarded-proto") {
                    let text = format!("X-Forwarded-Proto: http{end}");
                    self.put.push((place, text));
                }
                if !is_there("x-forwarded-for") {
                    let text = format!("X-Forwarded-For: {CLIENT}{end}");
                    self.put.push((place, text));
                }
                return Ok(headers);
            }
            let mut line = text(line);
            let mut place = place;
            while let b' ' | b'\t' = self.stream.get(self.at).ok_or(None)? {
                let (more, end, _) = self.line(End::Ambiguous)?;
                line += &text(more);
                place = end;
            }
            let (name, value) = line.split_once(':').ok_or(Some(End::Ambiguous))?;
            if !is_token(name) {
                return Err(Some(End::Ambiguous));
            }
            let (name, value) = (name.to_ascii_lowercase(), trimmed(value));
            if name == "x-forwarded-for" {
                let separator = if value.is_empty() { " " } else { ", " };
                self.put.push((place, format!("{separator}{CLIENT}")));
            }
            headers.push((name, value.to_owned()));
        }
    }

    fn body(&mut self, connect: bool, old: bool, headers: &[(String, String)]) -> Result<(), Stop> {
        let values = |wanted: &str| -> Vec<&str> {
            let all = headers.iter().filter(|(name, _)| name == wanted);
            all.map(|(_, value)| value.as_str()).collect()
        };
        let ambiguous = Err(Some(End::Ambiguous));
        let lengths = values("content-length");
        let lengths = lengths.iter().flat_map(|value| value.split(','));
        let mut lengths: Vec<Option<u64>> = lengths.map(|word| number(trimmed(word), 10)).collect();
        lengths.dedup();
        let codings = values("transfer-encoding");
        let (length, chunked) = match (&lengths[..], &codings[..]) {
            ([], []) => (0, false),
            ([Some(length)], []) => (*length, false),
            ([], [codings]) => {
                let codings: Vec<String> =
                    codings.split(',').map(|c| trimmed(c).to_ascii_lowercase()).collect();
                let first = codings.iter().position(|coding| coding == "chunked");
                if first != Some(codings.len() - 1) || old {
                    return ambiguous;
                }
                (0, true)
            }
            _ => return ambiguous,
        };
        if connect || !values("upgrade").is_empty() {
            return Err(Some(End::OtherProtocol));
        }
        if chunked {
            return self.chunks();
        }
        self.pass(length)
    }

    fn pass(&mut self, length: u64) -> Result<(), Stop> {
        let left = self.stream.len() - self.at;
        match usize::try_from(length) {
            Ok(length) if length <= left => {
                self.at += length;
                Ok(())
            }
            _ => Err(None),
        }
    }

    fn chunks(&mut self) -> Result<(), Stop> {
        loop {
            self.begin();
            let (line, _, end) = self.line(End::Ambiguous)?;
            let line = text(line);
            let digits = line.split(';').next().unwrap_or_default();
            let size = number(digits.trim_end_matches(is_blank), 16);
            let size = size.filter(|size| *size < 1 << 63 && end == b"\r\n");
            let size = size.ok_or(Some(End::Ambiguous))?;
            if size == 0 {
                break;
            }
            self.pass(size)?;
            self.begin();
            let (line, _, end) = self.line(End::Ambiguous)?;
            if !line.is_empty() || end != b"\r\n" {
                return Err(Some(End::Ambiguous));
            }
        }
        self.begin();
        while !self.line(End::Ambiguous)?.0.is_empty() {}
        Ok(())
    }
}

/// Each byte as a character.
fn text(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| char::from(*byte)).collect()
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0C' | '\r')
}

fn trimmed(text: &str) -> &str {
    text.trim_matches(is_blank)
}

pub fn is_token(text: &str) -> bool {
    let is_mark = |c| "!#$%&'*+-.^_`|~".contains(c);
    !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || is_mark(c))
}

/// Digits alone, of which there is one at least, of a number of 64 bits.
pub fn number(text: &str, base: u32) -> Option<u64> {
    let digits = text.chars().map(|c| c.to_digit(base));
    let digits: Vec<u32> = digits.collect::<Option<_>>()?;
    let mut sum: u128 = 0;
    for digit in &digits {
        sum = (sum * u128::from(base) + u128::from(*digit)).min(1 << 64);
    }
    u64::try_from(sum).ok().filter(|_| !digits.is_empty())
}
