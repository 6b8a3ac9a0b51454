//! Requests to the web interface.

use super::{At, Client, finish};
use std::process::Command;

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Up to the empty line.
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Answer {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((text, ""));
        let status = head.split(' ').nth(1).and_then(|word| word.parse().ok());
        Answer { status: status.unwrap_or(0), head: head.to_owned(), body: body.to_owned() }
    }

    /// The value of a header field.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// The text of a member of the JSON object, as it is there: the first one
    /// of this name behind `place`.
    pub(crate) fn member(&self, place: &str, name: &str) -> &str {
        let at = self.body.find(place).unwrap_or_else(|| panic!("no {place} in {self:?}"));
        let (_, rest) = self.body[at..].split_once(&format!("\"{name}\":")).unwrap();
        let end = rest.find([',', '}', ']']).unwrap();
        rest[..end].trim_matches('"')
    }
}

/// Sends these bytes, and takes all that comes.
pub(crate) fn ask_web(at: &At, request: impl AsRef<[u8]>) -> Answer {
    let client = Client::new(at);
    client.send(request);
    Answer::parse(&String::from_utf8(client.rest()).unwrap())
}

/// The answer to a plain GET.
pub(crate) fn get(at: &At, path: &str) -> Answer {
    let host = match at {
        At::Inet(addr) => addr.to_string(),
        At::Unix(_) => "localhost".to_owned(),
    };
    ask_web(at, format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n"))
}

/// The answer that curl gets.
pub(crate) fn curl(words: &[&str]) -> Answer {
    let mut command = Command::new("curl");
    command.args(["-s", "-i", "--max-time", "20"]).args(words);
    let output = finish(command);
    Answer::parse(&String::from_utf8(output.stdout).unwrap())
}
