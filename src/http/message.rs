//! Takes a stream of HTTP/1.x messages apart (RFC 9112), in whatever pieces it
//! comes: start lines, fields, bodies. Both directions do so; what they make of
//! it is their own.

use super::End;

/// Most bytes of a head, of trailers, or of a line of chunked coding.
const LIMIT: usize = 32 * 1024;

/// Where in the stream the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    /// In a start line, or in front of it, where empty lines may come.
    Start,
    /// In the lines of a head, or of trailers.
    Fields(Section),
    /// Behind such a line: the next byte says whether it goes on.
    AfterField(Section),
    /// In a body with so many bytes left.
    Body(u64),
    /// In the line that says how long the next chunk is.
    ChunkSize,
    /// In a chunk, with so many bytes left.
    Chunk(u64),
    /// Behind a chunk, where a line end must come.
    ChunkEnd,
}

/// Which fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Section {
    /// Before the body.
    Head,
    /// Behind the last chunk.
    Trailers,
}

/// What was found next.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Event<'a> {
    /// Bytes with nothing more to say about them.
    Pass(&'a [u8]),
    /// Bytes of a start line; `true`: they end it, [`Message::line`] has it.
    Start(&'a [u8], bool),
    /// [`Message::line`] is a field.
    Field(Section),
    /// The empty line behind a head, which [`Message::end`] is. What comes next
    /// is to be told: [`Message::body`].
    HeadEnd,
    /// From here on it cannot be followed.
    Stop(End),
}

/// How the length of a body is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Length {
    /// It is so many bytes.
    Bytes(u64),
    /// By its chunks.
    Chunks,
}

/// Follows one direction.
pub(super) struct Message {
    part: Part,
    line: Vec<u8>,
    end: &'static [u8],
    /// Bytes of this head, these trailers or this line so far.
    size: usize,
    stop: Option<End>,
}

impl Message {
    /// In front of the first message.
    pub(super) fn new() -> Message {
        Message { part: Part::Start, line: Vec::new(), end: b"", size: 0, stop: None }
    }

    /// The line that was found, without its end. A field's further lines are
    /// joined to it with spaces in section of their ends (RFC 9112, 5.2), so that
    /// no server takes them for fields of their own.
    pub(super) fn line(&self) -> &[u8] {
        &self.line
    }

    /// The end of that line.
    pub(super) fn end(&self) -> &'static [u8] {
        self.end
    }

    /// What has come of a field that is not complete, in two parts.
    pub(super) fn held(&self) -> [&[u8]; 2] {
        match self.part {
            Part::Fields(_) | Part::AfterField(_) => [&self.line, self.end],
            _ => [b"", b""],
        }
    }

    /// Behind a head: what comes next.
    pub(super) fn body(&mut self, length: Length) {
        self.begin(match length {
            Length::Bytes(0) => Part::Start,
            Length::Bytes(length) => Part::Body(length),
            Length::Chunks => Part::ChunkSize,
        });
    }

    /// Takes from `data` what the next event is about. `None`: all was taken.
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

    /// As much of a body or chunk as is there.
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

    /// Takes what belongs to the line. Its end is known when it has come.
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

    /// From here on a new part of the message.
    fn begin(&mut self, part: Part) {
        self.part = part;
        self.line.clear();
        self.end = b"";
        self.size = 0;
    }

    /// A chunk's size, in hex, perhaps with extensions behind it (RFC 9112,
    /// 7.1), or the end of a chunk. A bare LF does not end these lines for every
    /// server: some skip two bytes behind a chunk, others all up to the LF.
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

/// `None` if it is none, or greater than what all servers can count.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let digits = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let text = std::str::from_utf8(digits).ok()?;
    let is_hex = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let size = u64::from_str_radix(text, 16).ok().filter(|_| is_hex)?;
    i64::try_from(size).is_ok().then_some(size)
}
