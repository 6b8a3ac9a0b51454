//! mergelogs loses no line and adds none, changes nothing but clients and dates,
//! and keeps the order of each log; what it has written it understands; a
//! client comes from pen's log and from nowhere else; and a request that pen
//! and a web server have both logged is always found.
//!
//! An input is the jitter, the shift, which servers wrote the logs, and the
//! logs, pen's first, with a 0xFE between them.

use super::web_log::{apache, assert_harmless, assert_same, nginx};
use pen::logs::mergelogs;
use pen::pool::clients::Client;
use pen::proxy::log;
use pen::sys::addr::Host;
use std::ffi::OsString;
use std::io::{self, Cursor, Read};

const SERVERS: [[&str; 3]; 3] = [
    ["192.0.2.1", "[2001:db8::1]", "unix"],
    ["192.0.2.1", "[::ffff:192.0.2.1]", "web"],
    ["web", "web", "web"],
];
const NAMES: [&str; 3] = ["a", "b", "c"];

pub fn check(data: &[u8]) {
    let Some((&[jitter, shift, servers], text)) = data.split_first_chunk() else {
        return;
    };
    let mut logs: Vec<&[u8]> = text.splitn(4, |byte| *byte == 0xFE).collect();
    let pens = logs.remove(0);
    let jitter = (jitter != 255).then_some(i64::from(jitter) * 7);
    let shift = i64::from(shift as i8) * 37;
    let servers = &SERVERS[usize::from(servers) % SERVERS.len()][..logs.len()];
    let all = merged(jitter, shift, servers, pens, &logs);
    assert_harmless(&all);
    // Each log alone, with all of pen's: where no entry is ever forgotten, the
    // others change nothing.
    let mut alone = Vec::new();
    for (log, server) in logs.iter().zip(servers) {
        let one = |pens: &[u8], log: &[u8]| merged(None, shift, &[server], pens, &[log]);
        let found = one(pens, log);
        let is_line = |line: &&[u8]| !line.is_empty() && *line != b"\r";
        assert_eq!(lines(&found).len(), log.split(|byte| *byte == b'\n').filter(is_line).count());
        let strange = [pens, b"\n192.0.2.9 1000000000 nobody GET / HTTP/1.0\n"].concat();
        assert_same(&one(&strange, log), &found);
        // Without pen's log everything is the server's own.
        let plain = one(b"", log);
        assert_eq!(tails(&plain), tails(&found));
        assert_same(&one(b"", &plain), &plain);
        alone.push(found);
    }
    assert!(is_interleaved(&tails(&all), alone.iter().map(|log| tails(log)).collect()));
    if jitter.is_none() {
        assert!(is_interleaved(&lines(&all), alone.iter().map(|log| lines(log)).collect()));
    }
    both_sides(text, apache);
    both_sides(text, nginx);
}

fn lines(text: &[u8]) -> Vec<&[u8]> {
    text.split_inclusive(|byte| *byte == b'\n').collect()
}

/// The lines without their first words.
fn tails(text: &[u8]) -> Vec<&[u8]> {
    let end = |line: &[u8]| line.iter().position(|byte| *byte == b' ').unwrap_or(0);
    lines(text).into_iter().map(|line| &line[end(line)..]).collect()
}

/// Whether these are the lines of all logs, those of each in their order.
fn is_interleaved<'a>(all: &[&'a [u8]], logs: Vec<Vec<&'a [u8]>>) -> bool {
    // Where each log may be: several places, as logs may have the same line.
    let mut places = std::collections::BTreeSet::from([vec![0; logs.len()]]);
    for line in all {
        let steps = places.iter().flat_map(|place| {
            (0..logs.len()).filter_map(|log| {
                let mut next = place.clone();
                next[log] += 1;
                (logs[log].get(place[log]) == Some(line)).then_some(next)
            })
        });
        places = steps.collect();
    }
    places.contains(&logs.iter().map(Vec::len).collect::<Vec<_>>())
}

fn merged(
    jitter: Option<i64>,
    shift: i64,
    servers: &[&str],
    pens: &[u8],
    logs: &[&[u8]],
) -> Vec<u8> {
    let mut words = vec!["-p".to_owned(), "pen".to_owned(), format!("-t{shift}")];
    words.push(jitter.map_or("-c".to_owned(), |jitter| format!("-j{jitter}")));
    let operands = servers.iter().zip(NAMES);
    words.extend(operands.map(|(server, name)| format!("{server}:{name}")));
    let words: Vec<OsString> = words.into_iter().map(OsString::from).collect();
    let open = |name: &str| -> io::Result<Box<dyn Read>> {
        let number = NAMES.iter().position(|other| *other == name);
        let text = number.map_or(pens, |number| logs[number]);
        Ok(Box::new(Cursor::new(text.to_vec())))
    };
    let mut out = Vec::new();
    let result = mergelogs::run(&words, &open, &mut out);
    if servers.is_empty() {
        return Vec::new(); // its usage
    }
    assert_eq!(result, Ok(()));
    out
}

fn both_sides(data: &[u8], write: fn(&[u8]) -> Vec<u8>) {
    let client = Client::Inet([198, 51, 100, 7].into());
    let host = Host::Inet(vec![([192, 0, 2, 1], 0).into()]);
    let pens = log::file_line(client, 1_000_000_000, &host, data);
    let end = data.iter().position(|byte| matches!(byte, b'\r' | b'\n'));
    let request = write(&data[..end.unwrap_or(data.len())]);
    let rest = [b" - - [09/Sep/2001:01:46:40 +0000] \"", &request[..], b"\" 200 1\n"].concat();
    let web = [b"10.0.0.1", &rest[..]].concat();
    let found = merged(Some(0), 0, &["192.0.2.1"], &pens, &[&web]);
    let wanted = [b"198.51.100.7", &rest[..]].concat();
    assert_same(&found, &wanted);
}
