//! penlogd passes on each line of a web server, and changes nothing in it but
//! the first word, in place of which a client that pen has logged may stand, if
//! it was for that server; and a request that pen and a web server have both
//! logged is always found.
//!
//! An input is how many requests are kept, and datagrams with a 0xFE between
//! them, the first byte of each the sender. In one of eight inputs `@` stands
//! for a long text, so that requests are cut: these take long.

use super::web_log::{apache, assert_harmless, assert_same, nginx};
use pen::logs::penlogd::matcher::Matcher;
use pen::pool::clients::Client;
use pen::proxy::log;
use pen::sys::addr::Host;
use pen::sys::text::harmless;
use std::collections::BTreeSet;
use std::net::IpAddr;

const LONG: usize = 900;
const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(198, 51, 100, 7));
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(203, 0, 113, 9));

pub fn check(data: &[u8]) {
    let Some((room, stream)) = data.split_first() else { return };
    let sum = data.iter().fold(0, |sum: u8, byte| sum.wrapping_add(*byte));
    let long = if sum % 8 == 0 { "x".repeat(LONG) } else { "@".to_owned() };
    let room = usize::from(room % 8) + 1;
    let mut matcher = Matcher::new(room);
    // The same lines, from a server for which pen has logged nothing.
    let mut elsewhere = Matcher::new(room);
    let mut clients: BTreeSet<Vec<u8>> = BTreeSet::new();
    let mut wanted: Vec<(Vec<u8>, BTreeSet<Vec<u8>>)> = Vec::new();
    for datagram in stream.split(|byte| *byte == 0xFE) {
        let Some((sender, short)) = datagram.split_first() else {
            continue;
        };
        let pieces: Vec<&[u8]> = short.splitn(4, |byte| *byte == b'@').collect();
        let datagram = pieces.join(long.as_bytes());
        matcher.datagram(sender_of(*sender), &datagram);
        elsewhere.datagram(ELSEWHERE, &datagram);
        for line in datagram.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match line.strip_prefix(b"+ ") {
                Some(rest) => {
                    clients.extend(rest.split(|byte| *byte == b' ').next().map(<[u8]>::to_vec))
                }
                None => wanted.push((harmless(line).to_vec(), clients.clone())),
            }
        }
    }
    assert_harmless(matcher.lines());
    let found = matcher.lines().split_inclusive(|byte| *byte == b'\n').collect::<Vec<_>>();
    assert_eq!(found.len(), wanted.len());
    for (line, (plain, clients)) in found.into_iter().zip(&wanted) {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let (client, tail) = line.split_at(first_word(line));
        assert_same(tail, &plain[first_word(plain)..]);
        assert!(line == plain || clients.contains(client), "{}", line.escape_ascii());
    }
    if !String::from_utf8_lossy(data).contains("203") {
        let plain = wanted.iter().flat_map(|(plain, _)| [&plain[..], b"\n"].concat());
        assert_same(elsewhere.lines(), &plain.collect::<Vec<u8>>());
    }
    both_sides(stream, apache);
    both_sides(stream, nginx);
}

/// Where the first word ends.
fn first_word(line: &[u8]) -> usize {
    line.iter().position(|byte| *byte == b' ').unwrap_or(0)
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
