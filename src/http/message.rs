//! Splits a stream of HTTP/1.x messages (RFC 9112) into start lines, fields and bodies,
//! in whatever pieces it arrives. Both directions of a connection use it.

use super::End;

/// Most bytes of a head, of trailers, or of a line of chunked coding.
const LIMIT: usize = 32 * 1024;

/// The part of a message to which the next byte belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// The start line, or the empty lines that may precede it.
    Start,
    /// The fields of a head or of trailers.
    Fields(Section),
    /// The first byte after such a line, which tells whether the field continues.
    AfterField(Section),
    /// A body, of which this many bytes are missing.
    Body(u64),
    /// The line with the length of the next chunk.
    ChunkSize,
    /// A chunk, of which this many bytes are missing.
    Chunk(u64),
    /// The line end that must follow a chunk.
    ChunkEnd,
}

/// The section that a field belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Before the body.
    Head,
    /// After the last chunk.
    Trailers,
}

/// What the next bytes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Bytes that need no attention.
    Pass(&'a [u8]),
    /// Bytes of a start line. `true` means that it is complete: [`Message::line`] has it.
    Start(&'a [u8], bool),
    /// A complete field, which [`Message::line`] has.
    Field(Section),
    /// The empty line after a head, which [`Message::end`] has. The caller must say with
    /// [`Message::body`] what follows.
    HeadEnd,
    /// The stream cannot be followed any further.
    Stop(End),
}

/// What determines the length of a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// The body has this many bytes.
    Bytes(u64),
    /// The body ends with its last chunk.
    Chunks,
}

/// Follows one direction of a connection.
pub(super) struct Message {
    part: Part,
    line: Vec<u8>,
    end: &'static [u8],
    /// The bytes of this head, these trailers or this line so far.
    size: usize,
    stop: Option<End>,
}

impl Message {
    /// Begins before the first message.
    pub(super) fn new() -> Message {
        Message { part: Part::Start, line: Vec::new(), end: b"", size: 0, stop: None }
    }

    /// Returns the line that was found, without its end. The continuation lines of a field
    /// are joined to it, with spaces instead of their line ends (RFC 9112, 5.2), so that
    /// no server takes them for fields of their own.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// Returns the end of that line.
    pub(super) fn end(&self) -> &'static [u8] {
        self.end
    }

    /// Returns the bytes of a field that is not complete, in two parts.
    pub(super) fn held(&self) -> [&[u8]; 2] {
        match self.part {
            Part::Fields(_) | Part::AfterField(_) => [&self.line, self.end],
            _ => [b"", b""],
        }
    }

    /// Sets what follows a head.
    pub(super) fn body(&mut self, length: Length) {
        self.begin(match length {
            Length::Bytes(0) => Part::Start,
            Length::Bytes(length) => Part::Body(length),
            Length::Chunks => Part::ChunkSize,
        });
    }

    /// Takes the bytes of the next event from `data`. `None` means that all are taken.
    pub(super) fn next<'a>(&mut self, data: &mut &'a [u8]) -> Option<Event<'a>> {
        if let Some(end) = self.stop {
            return Some(Event::Stop(end));
        }
        while let Some(first) = data.first() {
            match self.part {
                Part::Body(left) => return Some(self.skip(left, Part::Body, Part::Start, data)),
                Part::Chunk(left) => {
                    return Some(self.skip(left, Part::Chunk, Part::ChunkEnd, data));
                }
                Part::AfterField(section) => {
                    self.part = Part::Fields(section);
                    if !matches!(first, b' ' | b'\t') {
                        return Some(Event::Field(section));
                    }
                    self.line.resize(self.line.len() + self.end.len(), b' ');
                    self.end = b"";
                }
                Part::Fields(section) => {
                    self.gather(data);
                    if self.stop.is_some() {
                        return self.stop.map(Event::Stop);
                    }
                    match (self.end, &self.line[..], section) {
                        ([], ..) => {}
                        (_, [], Section::Head) => return Some(Event::HeadEnd),
                        (end, [], Section::Trailers) => {
                            self.begin(Part::Start);
                            return Some(Event::Pass(end));
                        }
                        _ => self.part = Part::AfterField(section),
                    }
                }
                Part::Start if !self.end.is_empty() => self.part = Part::Fields(Section::Head),
                Part::Start => {
                    let piece = self.gather(data);
                    if self.stop.is_some() || self.end.is_empty() {
                        return Some(Event::Start(piece, false));
                    }
                    if self.line.is_empty() {
                        self.begin(Part::Start);
                        return Some(Event::Pass(piece));
                    }
                    return Some(Event::Start(piece, true));
                }
                Part::ChunkSize | Part::ChunkEnd => {
                    let piece = self.gather(data);
                    if self.stop.is_none() && !self.end.is_empty() {
                        self.chunk_line();
                    }
                    return Some(Event::Pass(piece));
                }
            }
        }
        None
    }

    /// Takes as much of a body or chunk as `data` has.
    fn skip<'a>(
        &mut self,
        left: u64,
        more: fn(u64) -> Part,
        then: Part,
        data: &mut &'a [u8],
    ) -> Event<'a> {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let (mine, rest) = data.split_at(count);
        *data = rest;
        match left - count as u64 {
            0 => self.begin(then),
            left => self.part = more(left),
        }
        Event::Pass(mine)
    }

    /// Takes the bytes that belong to the line, and sets its end when that has arrived.
    fn gather<'a>(&mut self, data: &mut &'a [u8]) -> &'a [u8] {
        if !self.end.is_empty() {
            self.line.clear();
            self.end = b"";
        }
        let found = data.iter().position(|byte| *byte == b'\n');
        let (piece, rest) = data.split_at(found.map_or(data.len(), |at| at + 1));
        *data = rest;
        self.line.extend_from_slice(piece);
        self.size += piece.len();
        if self.size > LIMIT {
            self.stop = Some(End::TooLong);
        } else if found.is_some() {
            self.end = if self.line.ends_with(b"\r\n") { b"\r\n" } else { b"\n" };
            self.line.truncate(self.line.len() - self.end.len());
        }
        piece
    }

    /// Begins a new part of the message.
    fn begin(&mut self, part: Part) {
        self.part = part;
        self.line.clear();
        self.end = b"";
        self.size = 0;
    }

    /// Reads the line with a chunk's size in hex, perhaps with extensions (RFC 9112, 7.1),
    /// or the line end after a chunk. It refuses a bare LF, since servers disagree: some
    /// skip two bytes after a chunk, others skip everything up to the LF.
    fn chunk_line(&mut self) {
        let is_strict = self.end == b"\r\n" && !self.line.contains(&b'\r');
        let next = match self.part {
            Part::ChunkEnd => self.line.is_empty().then_some(Part::ChunkSize),
            _ => chunk_size(&self.line).map(|size| match size {
                0 => Part::Fields(Section::Trailers),
                size => Part::Chunk(size),
            }),
        };
        match next.filter(|_| is_strict) {
            Some(part) => self.begin(part),
            None => self.stop = Some(End::Ambiguous),
        }
    }
}

/// Reads the size of a chunk. `None` means that it is malformed, or greater than what
/// all servers can count.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let text = std::str::from_utf8(digits).ok()?;
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = u64::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    i64::try_from(size).is_ok().then_some(size)
}
