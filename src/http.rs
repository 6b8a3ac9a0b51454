//! Follows the HTTP/1.x requests in a byte stream and adds
//! `X-Forwarded-For` and `X-Forwarded-Proto` to each (RFC 9112, RFC 7239
//! section 1 for what these fields are).
//!
//! pen passes bytes on as they arrive, and holds back only a field that is not
//! complete. So data that is not HTTP passes, too, and a client that waits for an
//! answer before it sends more gets the answer.
//!
//! pen's fields are the last of a head, each a field of its own, so that nothing that
//! the client has written can change their meaning: servers join fields of one name
//! or use the last. pen removes what some servers take for its fields: the client's
//! X-Forwarded-Proto, names that are the same to CGI programs (`X_Forwarded_For`),
//! all of these among the trailers, and their names in the field `Connection`, which
//! would make the server drop them.
//!
//! pen never repairs a head that a server could read in more than one way (two
//! lengths, a length and chunks, a space before a colon, a bare CR). After such a head
//! the stream passes unchanged to its end. Otherwise pen and the server could disagree
//! about where a request begins, and a client could hide one request in another.

mod answers;
mod line;
mod message;

use answers::Asked;
pub use answers::{Answers, Exchange};
pub(crate) use line::is_token;
use line::{Field, Framing, Method, request_line};
use message::{Event, Length, Message, Section};

/// The reason why the rest of a stream passes unchanged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It is not HTTP/1.x.
    NotHttp,
    /// The server has agreed to another protocol.
    OtherProtocol,
    /// A head or line is longer than 32 KiB.
    TooLong,
    /// It can be read in more than one way.
    Ambiguous,
}

/// Follows the client's side of one connection.
pub struct Tracker<'a> {
    exchange: &'a Exchange,
    /// The fields that pen adds, in lines that end with CR LF.
    ours: String,
    message: Message,
    method: Method,
    framing: Framing,
    end: Option<End>,
}

impl Tracker<'_> {
    /// Follows a connection of this client. `client` is the value of the field.
    pub fn new<'a>(client: &str, exchange: &'a Exchange) -> Tracker<'a> {
        Tracker {
            exchange,
            // In the order of the C program.
            ours: format!("X-Forwarded-Proto: http\r\nX-Forwarded-For: {client}\r\n"),
            message: Message::new(),
            method: Method::Other,
            framing: Framing::default(),
            end: None,
        }
    }

    /// Returns why the rest passes unchanged, as soon as it does. Nothing is held back
    /// then, and the caller need not feed any more data.
    pub fn end(&self) -> Option<End> {
        self.end
    }

    /// Takes the next piece of the stream, and appends to `out` the bytes for the server.
    pub fn feed(&mut self, mut data: &[u8], out: &mut Vec<u8>) {
        if self.end.is_none() && self.exchange.has_switched() {
            self.stop(End::OtherProtocol, out);
        }
        while self.end.is_none() {
            match self.message.next(&mut data) {
                None => return,
                Some(Event::Pass(piece) | Event::Start(piece, false)) => {
                    out.extend_from_slice(piece)
                }
                Some(Event::Start(piece, true)) => {
                    out.extend_from_slice(piece);
                    self.start(out);
                }
                Some(Event::Field(section)) => self.field(section, out),
                Some(Event::HeadEnd) => self.head_end(out),
                Some(Event::Stop(end)) => self.stop(end, out),
            }
        }
        out.extend_from_slice(data);
    }

    /// Returns how many bytes are held back.
    pub fn held(&self) -> usize {
        let [line, end] = self.message.held();
        line.len() + end.len()
    }

    /// Appends the bytes that were held back to `out`, as the stream has ended.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        if self.end.is_none() {
            self.message.held().iter().for_each(|part| out.extend_from_slice(part));
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        match request_line(self.message.line()) {
            None => self.stop(End::NotHttp, out),
            Some((method, is_1_0)) => {
                (self.method, self.framing) = (method, Framing::new(is_1_0));
            }
        }
    }

    /// Passes a field on, unless a server could take it for one of pen's.
    fn field(&mut self, section: Section, out: &mut Vec<u8>) {
        let (line, end) = (self.message.line(), self.message.end());
        match Field::parse(line) {
            None if section == Section::Trailers => return self.stop(End::Ambiguous, out),
            None => {
                // Some servers stop reading here; others read pen's fields at the end.
                if !self.framing.is_ambiguous {
                    self.put_our_fields(end, out);
                }
                self.framing.is_ambiguous = true;
            }
            Some(field) if section == Section::Trailers => {
                if field.is_like_ours() {
                    return;
                }
            }
            Some(field) => {
                if field.is_like_ours() && !field.is_forwarded_for() {
                    return;
                }
                if let Some(rest) = field.without_ours() {
                    if !rest.is_empty() {
                        out.extend_from_slice(b"Connection: ");
                        out.extend_from_slice(&rest.join(&b", "[..]));
                        out.extend_from_slice(end);
                    }
                    return;
                }
                self.framing.see(&field);
            }
        }
        out.extend_from_slice(line);
        out.extend_from_slice(end);
    }

    /// Adds pen's fields at the end of a head.
    fn head_end(&mut self, out: &mut Vec<u8>) {
        let end = self.message.end();
        self.put_our_fields(end, out);
        out.extend_from_slice(end);
        let asked = Asked { method: self.method, upgrade: self.framing.upgrade };
        match self.framing.length() {
            Err(()) => self.leave(End::Ambiguous),
            // It could be a body, or the first bytes for the tunnel.
            Ok(Some(length)) if self.method == Method::Connect && length != Length::Bytes(0) => {
                self.leave(End::Ambiguous);
            }
            Ok(length) => {
                self.message.body(length.unwrap_or(Length::Bytes(0)));
                self.exchange.ask(asked);
            }
        }
    }

    /// Adds pen's fields, with this line end.
    fn put_our_fields(&self, end: &[u8], out: &mut Vec<u8>) {
        for line in self.ours.lines() {
            out.extend_from_slice(line.as_bytes());
            out.extend_from_slice(end);
        }
    }

    fn stop(&mut self, end: End, out: &mut Vec<u8>) {
        self.finish(out);
        self.leave(end);
    }

    /// Passes the rest unchanged from now on. Nothing is held back any more.
    fn leave(&mut self, end: End) {
        self.end = Some(end);
        self.message = Message::new();
        self.exchange.give_up();
    }
}

#[cfg(test)]
mod tests;
