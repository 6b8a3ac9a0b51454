//! What goes on through the HTTP tracker is what came, in order, with fields put
//! in and left out; it is the same in whatever pieces the stream comes; and read
//! again, it has the fields that were put in where they are put in again, so that
//! no head went by without them. What follows the answers finds the same in
//! whatever pieces they come.
//!
//! An input is a byte that seeds the pieces, and the stream. In some streams
//! each `@` stands for a long text, so that the limit on headers is reached: in
//! one of 64, as these take long.

use pen::http::{Answers, End, Exchange, Tracker};

const CLIENT: &str = "192.0.2.1";

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
    let whole = track([&stream[..]]);
    if !["\r\n", "\n"].iter().any(|end| count(&stream, &ours(end)) > 0) {
        came_in_order(&whole.0.0, &stream);
        if stream.len() < LIMIT / 4 {
            is_understood_the_same(&whole);
        }
    }
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

/// What is put into a head, with this line end.
fn ours(end: &str) -> String {
    format!("X-Forwarded-Proto: http{end}X-Forwarded-For: {CLIENT}{end}")
}

fn count(stream: &[u8], text: &str) -> usize {
    stream.windows(text.len()).filter(|window| *window == text.as_bytes()).count()
}

/// The stream with something else in place of what was put in.
fn replaced(stream: &[u8], by: impl Fn(&str) -> String) -> Vec<u8> {
    // One byte for each character.
    let mut text: String = stream.iter().map(|byte| char::from(*byte)).collect();
    for end in ["\r\n", "\n"] {
        text = text.replace(&ours(end), &by(end));
    }
    text.chars().map(|c| c as u8).collect()
}

/// Without what was put in, nothing is there that did not come, and what is
/// there came in this order. Blanks and ends of lines may stand for one another,
/// where lines were folded, and names may be written otherwise.
fn came_in_order(out: &[u8], stream: &[u8]) {
    let mut came = stream.iter();
    for byte in replaced(out, |_| String::new()).iter().filter(|byte| !byte.is_ascii_whitespace()) {
        let is_there = came.any(|other| other.eq_ignore_ascii_case(byte));
        assert!(is_there, "{} from {}", out.escape_ascii(), stream.escape_ascii());
    }
}

/// Read again, every head gets the same in the same place: the field with the
/// protocol is replaced, the one with the client is one of several. Not so where
/// a blank begins the line behind, which then belongs to the field with the
/// client; the head has another one at its end.
fn is_understood_the_same((Text(out), end): &Outcome) {
    let behind = ["\n ", "\n\t", "\r\n ", "\r\n\t"];
    if behind.iter().any(|end| count(out, &format!("{CLIENT}{end}")) > 0) {
        return;
    }
    let again = track([&out[..]]);
    let wanted = replaced(out, |end| format!("X-Forwarded-For: {CLIENT}{end}{}", ours(end)));
    assert_eq!(again, (Text(wanted), *end), "read again");
}
