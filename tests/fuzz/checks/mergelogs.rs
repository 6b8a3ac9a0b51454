//! mergelogs' output is that of a model which holds all logs and searches all
//! of pen's; and a request that pen and a web server have both logged is always
//! found.
//!
//! An input is the jitter, the shift, which servers wrote the logs, and the
//! logs, pen's first, with a 0xFE between them.

use super::web_log::{apache, assert_harmless, assert_same, dotted, nginx, quote};
use pen::logs::mergelogs;
use pen::pool::clients::Client;
use pen::proxy::log;
use pen::sys::addr::Host;
use pen::sys::message::harmless;
use std::ffi::OsString;
use std::io::{self, Cursor, Read};
use std::net::IpAddr;

const SERVERS: [[&str; 3]; 3] = [
    ["192.0.2.1", "[2001:db8::1]", "unix"],
    ["192.0.2.1", "[::ffff:192.0.2.1]", "web"],
    ["web", "web", "web"],
];
/// What pen's log may have of a request.
const REQUEST: usize = 100;
const NAMES: [&str; 3] = ["a", "b", "c"];

pub fn check(data: &[u8]) {
    let Some((&[jitter, shift, servers], text)) = data.split_first_chunk() else { return };
    let mut logs: Vec<&[u8]> = text.splitn(4, |byte| *byte == 0xFE).collect();
    let pens = logs.remove(0);
    let jitter = (jitter != 255).then_some(i64::from(jitter) * 7);
    let shift = i64::from(shift as i8) * 37;
    let servers = &SERVERS[usize::from(servers) % SERVERS.len()][..logs.len()];
    let found = merged(jitter, shift, servers, pens, &logs);
    let wanted = Model::new(jitter, shift, servers, pens).merge(&logs);
    assert_harmless(&found);
    let mut rest = &found[..];
    for (number, permitted) in wanted.iter().enumerate() {
        let fits = permitted.iter().find_map(|line| rest.strip_prefix(&line[..]));
        rest = fits.unwrap_or_else(|| {
            let wanted = permitted.iter().map(|line| line.escape_ascii().to_string());
            let wanted: Vec<String> = wanted.collect();
            panic!("line {number}: {} is none of {wanted:?}", rest.escape_ascii())
        });
    }
    assert_eq!(rest, b"", "more lines than went in");
    both_sides(text, apache);
    both_sides(text, nginx);
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

struct Entry {
    time: i64,
    client: Vec<u8>,
    server: Vec<u8>,
    key: Vec<u8>,
}

struct Model {
    jitter: Option<i64>,
    servers: Vec<Vec<u8>>,
    entries: Vec<Entry>,
    newest: i64,
}

/// The lines that may stand at one place of the output.
type Permitted = Vec<Vec<u8>>;

impl Model {
    fn new(jitter: Option<i64>, shift: i64, servers: &[&str], pens: &[u8]) -> Model {
        let mut entries = Vec::new();
        for line in pens.split(|byte| *byte == b'\n') {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let words: Vec<&[u8]> = line.splitn(4, |byte| *byte == b' ').collect();
            let [client, time, server, request] = words[..] else {
                continue;
            };
            let time = std::str::from_utf8(time).ok().and_then(|text| text.parse().ok());
            let Some(time) = time.filter(|_| !client.is_empty()) else {
                continue;
            };
            entries.push(Entry {
                time: i64::saturating_sub(time, shift),
                client: peer(client),
                server: peer(server),
                key: dotted(&request[..request.len().min(REQUEST)]),
            });
        }
        let bare = |word: &&str| peer(word.trim_matches(['[', ']']).as_bytes());
        let servers = servers.iter().map(bare).collect();
        let newest = i64::MIN;
        Model { jitter, servers, entries, newest }
    }

    fn merge(&mut self, logs: &[&[u8]]) -> Vec<Permitted> {
        let mut queues: Vec<Vec<(i64, &[u8])>> = logs.iter().map(|log| timed(log)).collect();
        let mut out = Vec::new();
        loop {
            let heads = queues.iter().enumerate();
            let heads = heads.filter_map(|(index, queue)| Some((queue.first()?.0, index)));
            let Some((_, index)) = heads.min() else {
                return out;
            };
            let (_, line) = queues[index].remove(0);
            out.push(self.line(index, line));
        }
    }

    fn line(&mut self, index: usize, line: &[u8]) -> Permitted {
        let Some((client_end, from, to, time)) = places(line) else {
            return vec![[&harmless(line), &b"\n"[..]].concat()];
        };
        let rest = &line[to..];
        self.newest = self.newest.max(time);
        let clients = self.clients(index, rest, time);
        let written = |client: Vec<u8>| {
            let client = [&client[..], b" "].concat(); // so a CR is not its end
            let client = harmless(&client).split_last().unwrap().1.to_vec();
            let (between, rest) = (harmless(&line[client_end..from]), harmless(rest));
            [&client[..], &between, date(time).as_bytes(), &rest, b"\n"].concat()
        };
        clients.into_iter().map(written).collect()
    }

    /// What may stand in front. Of entries that are too old for the newest line
    /// so far, those that are older by a quarter of the jitter are forgotten,
    /// and the others may be.
    fn clients(&self, index: usize, rest: &[u8], time: i64) -> Vec<Vec<u8>> {
        let mut floors = vec![i64::MIN];
        if let Some(jitter) = self.jitter {
            let floor = self.newest - jitter;
            let oldest = floor - jitter / 4;
            let between = self.entries.iter().map(|entry| entry.time);
            let between = between.filter(|time| (oldest..floor).contains(time));
            floors = between.chain([oldest, floor]).collect();
        }
        let found = |floor: &i64| {
            let found = self.request(index, rest, time, *floor);
            found.unwrap_or(&self.servers[index]).clone()
        };
        floors.iter().map(found).collect()
    }

    fn request(&self, index: usize, rest: &[u8], time: i64, floor: i64) -> Option<&Vec<u8>> {
        let start = rest.iter().position(|byte| *byte == b'"')? + 1;
        let text = &rest[start..];
        let length = match quote(text) {
            Some(end) => end,
            None if text.len() >= 4 * REQUEST => text.len(),
            None => return None,
        };
        let request = &text[..length];
        let plain = dotted(&request[..request.len().min(REQUEST)]);
        let mut keys = vec![unescaped(request)];
        if request.contains(&b'\\') {
            keys.push(plain);
        }
        keys.iter().find_map(|key| self.nearest(index, key, time, floor))
    }

    fn nearest(&self, index: usize, key: &[u8], time: i64, floor: i64) -> Option<&Vec<u8>> {
        let server = &self.servers[index];
        let all = self.entries.iter().filter(|entry| entry.time >= floor);
        let all = all.filter(|entry| entry.server == *server && entry.key == key);
        let distance = |entry: &&Entry| entry.time.abs_diff(time);
        // The first of those that are equal.
        let nearest = all.min_by_key(|entry| (distance(entry), entry.time))?;
        let limit = self.jitter.map_or(u64::MAX, |jitter| jitter as u64);
        (distance(&nearest) <= limit).then_some(&nearest.client)
    }
}

/// A name as it is written: an address in its shortest form.
fn peer(name: &[u8]) -> Vec<u8> {
    let ip = std::str::from_utf8(name).ok().and_then(|text| text.parse().ok());
    match ip {
        Some(ip) => IpAddr::to_canonical(&ip).to_string().into_bytes(),
        None => name.to_vec(),
    }
}

/// The lines with their times. One without has that of the line before.
fn timed(log: &[u8]) -> Vec<(i64, &[u8])> {
    let mut last = i64::MIN;
    let lines = log.split(|byte| *byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty() && *line != b"\r");
    let time = |line| {
        last = places(line).map_or(last, |places| places.3);
        (last, line)
    };
    lines.map(time).collect()
}

/// The end of the first word, the date's place, the time.
fn places(line: &[u8]) -> Option<(usize, usize, usize, i64)> {
    let client_end = line.iter().position(|byte| *byte == b' ')?;
    let brackets = (client_end..line.len()).filter(|at| line[*at] == b'[');
    brackets.into_iter().find_map(|at| {
        let length = line[at..].iter().position(|byte| *byte == b']')?;
        let time = time(std::str::from_utf8(&line[at + 1..at + length]).ok()?)?;
        Some((client_end, at + 1, at + length, time))
    })
}

const MONTHS: [(&str, i64); 12] = [
    ("Jan", 31),
    ("Feb", 28),
    ("Mar", 31),
    ("Apr", 30),
    ("May", 31),
    ("Jun", 30),
    ("Jul", 31),
    ("Aug", 31),
    ("Sep", 30),
    ("Oct", 31),
    ("Nov", 30),
    ("Dec", 31),
];

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

/// Days of a month, which is counted from 0.
fn days_of(year: i64, month: usize) -> i64 {
    MONTHS[month].1 + i64::from(month == 1 && is_leap(year))
}

/// Days from 1970 to the start of a year.
fn days_to(year: i64) -> i64 {
    let leap_days = |year: i64| year / 4 - year / 100 + year / 400;
    (year - 1970) * 365 + leap_days(year - 1) - leap_days(1969)
}

/// A number of at most so many digits.
fn number(text: &str, digits: usize) -> Option<i64> {
    let good = text.len() <= digits && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| good)
}

/// `09/Sep/2001:03:46:40 +0200`
fn time(text: &str) -> Option<i64> {
    let (clock, zone) = match text.split_once(' ') {
        Some((clock, zone)) => (clock, Some(zone)),
        None => (text, None),
    };
    let words: Vec<&str> = clock.split(':').collect();
    let [day, hour, minute, second] = words[..] else {
        return None;
    };
    let words: Vec<&str> = day.split('/').collect();
    let [day, month, year] = words[..] else {
        return None;
    };
    let (second, fraction) = second.split_once('.').unwrap_or((second, "0"));
    number(fraction, 9)?;
    let (hour, minute, second) = (number(hour, 2)?, number(minute, 2)?, number(second, 2)?);
    let (day, year) = (number(day, 2)?, number(year, 4)?);
    let month = MONTHS.iter().position(|(name, _)| name.eq_ignore_ascii_case(month))?;
    let good = hour < 24 && minute < 60 && second <= 60 && year >= 1900;
    if !good || !(1..=days_of(year, month)).contains(&day) {
        return None;
    }
    let ahead = match zone.map(|zone| zone.split_at_checked(1)) {
        None => 0,
        Some(Some((sign @ ("+" | "-"), digits))) if digits.len() == 4 => {
            let number = number(digits, 4)?;
            let minutes = number % 100;
            let seconds = (number / 100) * 3600 + minutes * 60;
            if minutes > 59 {
                return None;
            }
            if sign == "+" { seconds } else { -seconds }
        }
        Some(_) => return None,
    };
    let months: i64 = (0..month).map(|month| days_of(year, month)).sum();
    let days = days_to(year) + months + day - 1;
    Some(days * 86_400 + hour * 3600 + minute * 60 + second - ahead)
}

/// The same in UTC.
fn date(time: i64) -> String {
    let days = time.div_euclid(86_400);
    let second = time.rem_euclid(86_400);
    let mut year = 1970 + days.div_euclid(366) - 1;
    while days_to(year + 1) <= days {
        year += 1;
    }
    let mut day = days - days_to(year);
    let mut month = 0;
    while day >= days_of(year, month) {
        day -= days_of(year, month);
        month += 1;
    }
    let name = MONTHS[month].0;
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{:02}/{name}/{year:04}:{hour:02}:{minute:02}:{second:02} +0000", day + 1)
}

/// A request's key, with its escapes undone.
fn unescaped(request: &[u8]) -> Vec<u8> {
    let mut key = Vec::new();
    let mut at = 0;
    while at < request.len() && key.len() < REQUEST {
        let next = request.get(at + 1).copied();
        let hex = request.get(at + 2..at + 4).unwrap_or_default();
        let hex = std::str::from_utf8(hex).unwrap_or_default();
        let is_hex = hex.len() == 2 && hex.chars().all(|c| c.is_ascii_hexdigit());
        let (byte, length) = match (request[at], next) {
            (b'\\', Some(b'x')) if is_hex => (u8::from_str_radix(hex, 16).unwrap(), 4),
            (b'\\', Some(b'n' | b'r')) => (b'\n', 2),
            (b'\\', Some(b'a' | b'b' | b'e' | b'f' | b't' | b'v')) => (b'\t', 2),
            (b'\\', Some(next)) => (next, 2),
            (byte, _) => (byte, 1),
        };
        if matches!(byte, b'\r' | b'\n') {
            break;
        }
        key.push(byte);
        at += length;
    }
    dotted(&key)
}
