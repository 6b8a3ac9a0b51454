//! The HTTP tracker agrees with a model that has the whole stream before it,
//! in whatever pieces the stream comes: so its output is its input with fields
//! put in and left out, and where that is done is right. And what follows the
//! answers finds the same in whatever pieces they come.
//!
//! An input is a byte that seeds the pieces, and the stream. In some streams
//! each `@` stands for a long text, so that the limit on headers is reached: in
//! one of 64, as these take long.

use pen::http::{Answers, End, Exchange, Tracker};

const CLIENT: &str = "192.0.2.1";
const OURS: [&str; 2] = ["x-forwarded-proto", "x-forwarded-for"];

/// Most bytes of a header, as the tracker has it.
const LIMIT: usize = 32 * 1024;

pub fn check(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
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
    let learnt = answers([&stream[..]]);
    assert_eq!(answers(pieces(&stream, *seed)), learnt, "answers in pieces");
    assert_eq!(answers(stream.chunks(1)), learnt, "answers byte by byte");
}

/// Whether these answers, to three requests of which the last two ask for
/// another protocol, begin one; and whether they could be followed to the end.
fn answers<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> (Option<End>, bool) {
    let exchange = Exchange::new();
    let mut tracker = Tracker::new(CLIENT, &exchange);
    let asked =
        b"HEAD / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\nUpgrade: x\r\n\r\nCONNECT x HTTP/1.1\r\n\r\n";
    tracker.feed(asked, &mut Vec::new());
    let mut answers = Answers::new(&exchange);
    let all = pieces.into_iter().all(|piece| answers.see(piece));
    tracker.feed(b"", &mut Vec::new());
    (tracker.end(), all)
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
    let exchange = Exchange::new();
    let mut tracker = Tracker::new(CLIENT, &exchange);
    let mut out = Vec::new();
    for piece in pieces {
        tracker.feed(piece, &mut out);
        assert!(tracker.end().is_none() || tracker.held() == 0, "held at the end");
    }
    tracker.finish(&mut out);
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
    /// Where from and to there is something else, and what.
    put: Vec<(usize, usize, String)>,
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
        for (start, end, text) in &model.put {
            out.extend_from_slice(&stream[from..*start]);
            out.extend(text.chars().map(|c| c as u8));
            from = *end;
        }
        out.extend_from_slice(&stream[from..]);
        (Text(out), stop)
    }

    /// The next line.
    fn line(&mut self) -> Result<Line<'a>, Stop> {
        let start = self.at;
        let rest = &self.stream[start..];
        let found = rest.iter().position(|byte| *byte == b'\n');
        let end = start + found.unwrap_or(rest.len());
        if end + usize::from(found.is_some()) > self.part + LIMIT {
            return Err(Some(End::TooLong));
        }
        found.ok_or(None)?;
        self.at = end + 1;
        let place = if self.stream[start..end].ends_with(b"\r") { end - 1 } else { end };
        Ok((&self.stream[start..place], place, &self.stream[place..=end]))
    }

    fn begin(&mut self) {
        self.part = self.at;
    }

    fn request(&mut self) -> Result<(), Stop> {
        self.begin();
        let line = self.line()?.0;
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
        if !is_token(method) || target.is_empty() || target.contains('\r') || !one_digit {
            return Err(Some(End::NotHttp));
        }
        let headers = self.headers(true)?;
        self.body(method == "CONNECT", minor == "0", &headers)
    }

    /// Name, in small letters, and value of each field of a head or of trailers.
    /// A field without a name is one that can be read in two ways.
    fn headers(&mut self, is_head: bool) -> Result<Vec<(String, String)>, Stop> {
        let mut headers: Vec<(String, String)> = Vec::new();
        loop {
            let start = self.at;
            let put = self.put.len();
            let (line, place, end) = self.line()?;
            if line.is_empty() {
                if is_head {
                    self.put.push((place, place, ours(&text(end))));
                }
                return Ok(headers);
            }
            let (mut line, mut place, mut end) = (text(line), place, end);
            while let b' ' | b'\t' = self.stream.get(self.at).ok_or(None)? {
                let spaces = " ".repeat(end.len());
                self.put.push((place, self.at, spaces.clone()));
                let more;
                (more, place, end) = self.line()?;
                line += &(spaces + &text(more));
            }
            let (name, value) = line.split_once(':').unwrap_or_default();
            if !is_token(name) || line.contains('\r') {
                if !is_head {
                    return Err(Some(End::Ambiguous));
                }
                if headers.iter().all(|(name, _)| !name.is_empty()) {
                    self.put.insert(put, (start, start, ours(&text(end))));
                }
                headers.push(Default::default());
                continue;
            }
            let mut leave = |text: String| {
                self.put.truncate(put);
                self.put.push((start, self.at, text));
            };
            let (name, value) = (name.to_ascii_lowercase(), trimmed(value));
            let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
            let plain: String = name.chars().map(plain).collect();
            if OURS.contains(&&plain[..]) && !(is_head && name == OURS[1]) {
                leave(String::new());
            }
            if is_head && name == "connection" {
                let words = value.split(',').map(trimmed);
                let is_ours = |word: &&str| OURS.contains(&&word.to_ascii_lowercase()[..]);
                let rest: Vec<&str> = words.clone().filter(|word| !is_ours(word)).collect();
                if rest.len() < words.count() {
                    let rest: Vec<&str> = rest.into_iter().filter(|w| !w.is_empty()).collect();
                    leave(match &rest[..] {
                        [] => String::new(),
                        rest => format!("Connection: {}{}", rest.join(", "), text(end)),
                    });
                }
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
        if !values("").is_empty() {
            return ambiguous;
        }
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
        if connect && (chunked || length > 0) {
            return ambiguous;
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
            let (line, _, end) = self.line()?;
            let line = text(line);
            let digits = line.split(';').next().unwrap_or_default();
            let size = number(digits.trim_end_matches(is_blank), 16);
            let is_strict = end == b"\r\n" && !line.contains('\r');
            let size = size.filter(|size| *size < 1 << 63 && is_strict);
            let size = size.ok_or(Some(End::Ambiguous))?;
            if size == 0 {
                break;
            }
            self.pass(size)?;
            self.begin();
            let (line, _, end) = self.line()?;
            if !line.is_empty() || end != b"\r\n" {
                return Err(Some(End::Ambiguous));
            }
        }
        self.begin();
        self.headers(false).map(drop)
    }
}

/// What is put in, with this line end.
fn ours(end: &str) -> String {
    format!("X-Forwarded-Proto: http{end}X-Forwarded-For: {CLIENT}{end}")
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
