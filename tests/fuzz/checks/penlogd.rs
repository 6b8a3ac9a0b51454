//! Web servers' lines get the clients that a model gives them which keeps a
//! plain list; and a request that pen and a web server have both logged is
//! always found.
//!
//! An input is how many requests are kept, and datagrams with a 0xFE between
//! them, the first byte of each the sender. In one of eight inputs `@` stands
//! for a long text, so that requests are cut: these take long.

use super::web_log::{apache, assert_harmless, assert_same, dotted, nginx, quote};
use pen::logs::penlogd::matcher::Matcher;
use pen::pool::clients::Client;
use pen::proxy::log;
use pen::sys::addr::Host;
use pen::sys::message::harmless;
use std::net::IpAddr;

const LONG: usize = 900;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));

pub fn check(data: &[u8]) {
    let Some((room, stream)) = data.split_first() else { return };
    let sum = data.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    let long = if sum % 8 == 0 { "x".repeat(LONG) } else { "@".to_owned() };
    let room = usize::from(room % 8) + 1;
    let mut matcher = Matcher::new(room);
    let mut model = Model::default();
    for datagram in stream.split(|byte| *byte == 0xFE) {
        let Some((sender, short)) = datagram.split_first() else {
            continue;
        };
        let from = sender_of(*sender);
        let pieces: Vec<&[u8]> = short.splitn(4, |byte| *byte == b'@').collect();
        let datagram = pieces.join(long.as_bytes());
        matcher.datagram(from, &datagram);
        for line in datagram.split(|byte| *byte == b'\n') {
            model.line(from, line, room);
        }
    }
    assert_harmless(matcher.lines());
    assert_same(matcher.lines(), &model.out);
    both_sides(stream, apache);
    both_sides(stream, nginx);
}

fn sender_of(byte: u8) -> IpAddr {
    match byte % 4 {
        0 => [192, 0, 2, 1].into(),
        1 => [192, 0, 2, 2].into(),
        2 => IpAddr::from([0, 0, 0, 0, 0, 0xFFFF, 0xC000, 0x0201]),
        _ => IpAddr::from([0x2001, 0xDB8, 0, 0, 0, 0, 0, 1]),
    }
}

/// pen logs a request, and so does the web server that got it.
fn both_sides(data: &[u8], write: fn(&[u8]) -> Vec<u8>) {
    let web = sender_of(3);
    let mut matcher = Matcher::new(1);
    let host = Host::Inet(vec![(web, 0).into()]);
    matcher.datagram(web, &log::datagram(Client::Inet(CLIENT), &host, data));
    let end = data.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let request = &data[..end.unwrap_or(data.len())];
    let rest = [b" - - [date] \"", &write(request)[..], b"\" 200 1\n"].concat();
    matcher.datagram(web, &[b"10.0.0.1", &rest[..]].concat());
    let is_empty =
        request.trim_ascii().is_empty() && !request.iter().any(|b| b"\t\x0C".contains(b));
    let client = if is_empty { "10.0.0.1".to_owned() } else { CLIENT.to_string() };
    let wanted = [client.as_bytes(), &rest].concat();
    assert_same(matcher.lines(), &wanted);
}

#[derive(Default)]
struct Model {
    /// The newest last.
    kept: Vec<Kept>,
    out: Vec<u8>,
}

struct Kept {
    client: Vec<u8>,
    server: IpAddr,
    text: Vec<u8>,
    cut: bool,
}

impl Model {
    fn line(&mut self, from: IpAddr, line: &[u8], room: usize) {
        if line.is_empty() {
            return;
        }
        if line.starts_with(b"+ ") {
            self.kept.extend(kept(line));
            let surplus = self.kept.len().saturating_sub(room);
            self.kept.drain(..surplus);
            return;
        }
        let forms = forms(line);
        let from = from.to_canonical();
        let matches = |kept: &&Kept| {
            let is_it =
                |form: &Vec<u8>| *form == kept.text || kept.cut && form.starts_with(&kept.text);
            kept.server == from && forms.iter().any(is_it)
        };
        let end = line.iter().position(|byte| b" \"".contains(byte));
        match (self.kept.iter().rev().find(matches), end) {
            (Some(kept), Some(end)) if line[end] == b' ' => {
                self.out.extend(&kept.client);
                self.out.extend(&*harmless(&line[end..]));
            }
            _ => self.out.extend(&*harmless(line)),
        }
        self.out.push(b'\n');
    }
}

fn kept(line: &[u8]) -> Option<Kept> {
    let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
    let [_, client, server, text] = words[..] else {
        return None;
    };
    let is_name = |name: &[u8]| name.len() <= 64 && name.iter().all(u8::is_ascii_graphic);
    if client.is_empty() || !is_name(client) || !is_name(server) {
        return None;
    }
    let server = String::from_utf8_lossy(server);
    let server: IpAddr = server.split('%').next()?.parse().ok()?;
    let text = dotted(text[..text.len().min(1023)].trim_ascii());
    let length = text.len();
    (length > 0).then(|| Kept {
        client: client.to_vec(),
        server: server.to_canonical(),
        text,
        cut: line.len() >= 1023 && length >= 1023 - 3 * 64,
    })
}

/// The request in a web server's line, as pen may have logged it.
fn forms(line: &[u8]) -> Vec<Vec<u8>> {
    let Some(start) = line.iter().position(|byte| *byte == b'"') else {
        return Vec::new();
    };
    let rest = &line[start + 1..];
    let quoted = &rest[..quote(rest).unwrap_or(rest.len())];
    let mut forms = Vec::new();
    for form in [unescaped(quoted), quoted.to_vec()] {
        let form = dotted(&form).trim_ascii().to_vec();
        let last = form.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
        if !last.starts_with(b"HTTP/") {
            forms.push([&form[..], b" HTTP/1.0"].concat());
            forms.push([&form[..], b" HTTP/1.1"].concat());
        }
        forms.push(form);
    }
    forms
}

fn unescaped(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let next = text.get(at + 1).copied().unwrap_or(0);
        let hex = text.get(at + 2..at + 4).unwrap_or_default();
        let hex = std::str::from_utf8(hex).unwrap_or_default();
        let is_hex = hex.len() == 2 && hex.chars().all(|c| c.is_ascii_hexdigit());
        let (byte, length) = match (text[at], next) {
            (b'\\', b'x') if is_hex => (u8::from_str_radix(hex, 16).unwrap(), 4),
            (b'\\', b'"' | b'\\') => (next, 2),
            (b'\\', b'a' | b'b' | b'f' | b'n' | b'r' | b't' | b'v') => (b'\n', 2),
            (byte, _) => (byte, 1),
        };
        out.push(byte);
        at += length;
    }
    out
}
