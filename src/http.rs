//! Follows the HTTP/1.x requests in a byte stream and adds
//! `X-Forwarded-For` and `X-Forwarded-Proto` to each (RFC 9112, RFC 7239
//! section 1 for what these headers are).
//!
//! Bytes are passed on as they come: nothing is held back but a line's end,
//! where a header may have to be put before it. So whatever is not HTTP passes
//! too, and a client that waits for an answer before it goes on gets it.
//!
//! What a server could read in more than one way (two lengths, a length and
//! chunks, a space before a colon, a bare CR) is never repaired: from the end
//! of that line the stream passes as it is, to its end. Otherwise pen and the
//! server could disagree about where a request begins, and a client could hide
//! one request in another.

mod line;
use line::{Framing, Header, RequestLine};

/// Most bytes of a header, of trailers, or of a line of chunked coding.
/// Beyond that the stream passes as it is.
const LIMIT: usize = 32 * 1024;

/// Where in the stream the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// At the start of a request, where empty lines may come first.
    Start,
    /// In a request line.
    RequestLine,
    /// In a header line.
    HeaderLine,
    /// Behind a header line: the next byte says whether it goes on.
    AfterHeaderLine,
    /// In a body with so many bytes left.
    Body(u64),
    /// In the line that says how long the next chunk is.
    ChunkSize,
    /// In a chunk, with so many bytes left.
    Chunk(u64),
    /// Behind a chunk, where a line end must come.
    ChunkEnd,
    /// In the trailers behind the last chunk.
    Trailer,
    /// Not HTTP, or no longer: everything passes.
    Plain,
}

/// Why the rest of a stream passes unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not HTTP/1.x.
    NotHttp,
    /// CONNECT or Upgrade: another protocol begins.
    OtherProtocol,
    /// A header or line is longer than 32 KiB.
    TooLong,
    /// It can be read in more than one way.
    Ambiguous,
}

/// Follows one connection.
pub struct Tracker {
    /// The client, as the header has it.
    client: String,
    state: State,
    /// The line being read, without its end, continued lines joined.
    line: Vec<u8>,
    /// Line end that has not been passed on yet.
    held: Vec<u8>,
    /// Bytes of this header or trailer so far.
    size: usize,
    framing: Framing,
    end: Option<End>,
    /// Bytes put in so far.
    added: u64,
}

impl Tracker {
    /// For a connection of this client.
    pub fn new(client: String) -> Tracker {
        Tracker {
            client,
            state: State::Start,
            line: Vec::new(),
            held: Vec::new(),
            size: 0,
            framing: Framing::default(),
            end: None,
            added: 0,
        }
    }

    /// Why the rest passes unchanged, once that is so. Nothing is held then,
    /// and the data need not come through here any more.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Bytes that were put in so far.
    pub fn added(&self) -> u64 {
        self.added
    }

    /// Takes the next piece of the stream and appends to `out` what goes on.
    pub fn feed(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        while let Some((&byte, rest)) = data.split_first() {
            match self.state {
                State::Plain => {
                    out.extend_from_slice(data);
                    return;
                }
                State::Body(left) => data = self.skip(left, State::Start, data, out),
                State::Chunk(left) => data = self.skip(left, State::ChunkEnd, data, out),
                State::AfterHeaderLine => {
                    // The same byte again, in the state that it leads to.
                    self.after_header_line(byte, out);
                }
                _ => {
                    self.line_byte(byte, out);
                    data = rest;
                }
            }
        }
    }

    /// The stream has ended: what was held goes on.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        out.append(&mut self.held);
    }

    /// Passes on as much of a body or chunk as is there.
    fn skip<'a>(&mut self, left: u64, then: State, data: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(data.len());
        let (mine, rest) = data.split_at(count);
        out.extend_from_slice(mine);
        let left = left - count as u64;
        self.state = match (self.state, left) {
            (_, 0) => then,
            (State::Chunk(_), _) => State::Chunk(left),
            _ => State::Body(left),
        };
        rest
    }

    /// A byte of a line, whichever line it is.
    fn line_byte(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.size += 1;
        if self.size > LIMIT {
            self.stop(End::TooLong, out);
            return out.push(byte);
        }
        match (byte, self.held.is_empty()) {
            (b'\r', true) => self.held.push(byte),
            (b'\n', _) => {
                self.held.push(byte);
                self.line_end(out);
            }
            (_, false) => {
                // A CR that ends no line is a line's end to some servers.
                let end = match self.state {
                    State::RequestLine | State::Start => End::NotHttp,
                    _ => End::Ambiguous,
                };
                self.stop(end, out);
                out.push(byte);
            }
            (_, true) => {
                if self.state == State::Start {
                    self.state = State::RequestLine;
                }
                self.line.push(byte);
                out.push(byte);
            }
        }
    }

    /// A line is complete; its end is held.
    fn line_end(&mut self, out: &mut Vec<u8>) {
        match self.state {
            // An empty line before a request.
            State::Start => {
                out.append(&mut self.held);
                self.size = 0;
            }
            State::RequestLine => self.request_line(out),
            State::HeaderLine if self.line.is_empty() => self.header_end(out),
            State::HeaderLine => self.state = State::AfterHeaderLine,
            State::ChunkSize => self.chunk_size(out),
            State::ChunkEnd if self.line.is_empty() && self.held == b"\r\n" => {
                out.append(&mut self.held);
                self.begin(State::ChunkSize);
            }
            // Some servers skip two bytes here, others all up to the line's end.
            State::ChunkEnd => self.stop(End::Ambiguous, out),
            State::Trailer => {
                out.append(&mut self.held);
                if self.line.is_empty() {
                    self.begin(State::Start);
                }
                self.line.clear();
            }
            _ => out.append(&mut self.held),
        }
    }

    /// From here on a new part of the message.
    fn begin(&mut self, state: State) {
        self.state = state;
        self.line.clear();
        self.size = 0;
    }

    fn request_line(&mut self, out: &mut Vec<u8>) {
        match RequestLine::parse(&self.line) {
            None => self.stop(End::NotHttp, out),
            Some(line) => {
                self.framing = Framing::new(&line);
                self.line.clear();
                self.state = State::HeaderLine;
                out.append(&mut self.held);
            }
        }
    }

    /// The byte behind a header line: a space continues that line.
    fn after_header_line(&mut self, byte: u8, out: &mut Vec<u8>) {
        self.state = State::HeaderLine;
        if matches!(byte, b' ' | b'\t') {
            out.append(&mut self.held);
            return;
        }
        match Header::parse(&self.line) {
            None => return self.stop(End::Ambiguous, out),
            Some(header) => {
                self.framing.see(&header);
                if header.is("x-forwarded-for") {
                    // To each of several: the last word must be ours.
                    let empty = header.value.is_empty();
                    let text = format!("{}{}", if empty { " " } else { ", " }, self.client);
                    self.put(&text, out);
                }
            }
        }
        out.append(&mut self.held);
        self.line.clear();
    }

    /// The empty line behind a header: ours come before it.
    fn header_end(&mut self, out: &mut Vec<u8>) {
        let end = if self.held.len() == 1 { "\n" } else { "\r\n" };
        // In the order of the C program.
        if !self.framing.has_forwarded_proto {
            self.put(&format!("X-Forwarded-Proto: http{end}"), out);
        }
        if !self.framing.has_forwarded_for {
            let text = format!("X-Forwarded-For: {}{end}", self.client);
            self.put(&text, out);
        }
        out.append(&mut self.held);
        match self.framing.body() {
            Err(end) => self.stop(end, out),
            Ok(None) => self.begin(State::ChunkSize),
            Ok(Some(0)) => self.begin(State::Start),
            Ok(Some(length)) => self.begin(State::Body(length)),
        }
    }

    /// A chunk's size, in hex, perhaps with extensions behind it (RFC 9112,
    /// 7.1). A bare LF does not end this line for every server.
    fn chunk_size(&mut self, out: &mut Vec<u8>) {
        let strict = self.held == b"\r\n";
        out.append(&mut self.held);
        let digits = self.line.split(|byte| *byte == b';').next();
        let digits = digits.unwrap_or_default().trim_ascii_end();
        let size = std::str::from_utf8(digits)
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_hexdigit()))
            .and_then(|text| u64::from_str_radix(text, 16).ok())
            .filter(|size| strict && i64::try_from(*size).is_ok());
        match size {
            None => self.stop(End::Ambiguous, out),
            Some(0) => self.begin(State::Trailer),
            Some(size) => self.begin(State::Chunk(size)),
        }
    }

    fn put(&mut self, text: &str, out: &mut Vec<u8>) {
        out.extend_from_slice(text.as_bytes());
        self.added += text.len() as u64;
    }

    fn stop(&mut self, end: End, out: &mut Vec<u8>) {
        out.append(&mut self.held);
        self.line = Vec::new();
        self.state = State::Plain;
        self.end = Some(end);
    }
}

#[cfg(test)]
mod tests;
