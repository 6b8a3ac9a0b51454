//! The part of pen's log that is in memory: entries whose time is within the
//! jitter of the newest web-server line, in an index by server and request.

use super::host::LogHost;
use super::input::Input;
use super::line;
use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};

/// Reading stops after this many entries in a row that are newer than the
/// window. A single one may just have a wrong time and must not hide the
/// entries behind it.
const AHEAD: usize = 1000;

/// A hash of server and request, which takes less memory than the request. The
/// hash keys are random, so nobody can choose two requests with the same hash.
/// With 128 bits, two of ten million requests have the same one with a
/// probability of about 10^-25.
type RequestHash = (u64, u64);

/// A request in pen's log; `time` is in seconds since 1970.
struct LogEntry {
    time: i64,
    client: LogHost,
}

/// The entries in memory, and the log that more are read from.
pub(super) struct Window {
    input: Input,
    servers: HashSet<LogHost>,
    /// How many seconds an entry may be away from a line. Without a limit, all
    /// entries stay in memory.
    jitter: Option<i64>,
    /// Seconds that are subtracted from the times in pen's log.
    shift: i64,
    hashers: (RandomState, RandomState),
    /// The entries of a request are in the order of time, and equally old ones
    /// in that of pen's log.
    index: HashMap<RequestHash, Vec<LogEntry>>,
    /// The time of the newest line that was looked up.
    newest: Option<i64>,
    /// Entries before this time have been removed.
    cleared: i64,
    /// The times of the entries that were read last, if all of them are newer
    /// than the window.
    ahead: VecDeque<i64>,
    /// Requests whose entries must be sorted again, because one was read after
    /// a newer one.
    disordered: HashSet<RequestHash>,
    ended: bool,
    // The counts that `-d` reports.
    lines: u64,
    malformed: u64,
    elsewhere: u64,
}

impl Window {
    /// Makes an empty window for the requests to these servers.
    pub(super) fn new(
        input: Input,
        servers: HashSet<LogHost>,
        jitter: Option<i64>,
        shift: i64,
    ) -> Window {
        Window {
            input,
            servers,
            jitter,
            shift,
            hashers: Default::default(),
            index: HashMap::new(),
            newest: None,
            cleared: i64::MIN,
            ahead: VecDeque::new(),
            disordered: HashSet::new(),
            ended: false,
            lines: 0,
            malformed: 0,
            elsewhere: 0,
        }
    }

    /// Moves the window forward to a line of this time, and reads pen's log up
    /// to its end.
    pub(super) fn advance(&mut self, time: i64) -> Result<(), String> {
        if self.newest.is_some_and(|newest| newest >= time) {
            return Ok(());
        }
        self.newest = Some(time);
        let (floor, end) = match self.jitter {
            Some(jitter) => (time.saturating_sub(jitter), time.saturating_add(jitter)),
            None => (i64::MIN, i64::MAX),
        };
        self.clear(floor);
        if let Some(last) = self.ahead.iter().rposition(|ahead| *ahead <= end) {
            self.ahead.drain(..=last);
        }
        while !self.ended && self.ahead.len() < AHEAD {
            match self.read(floor)? {
                Some(time) if time > end => self.ahead.push_back(time),
                Some(_) => self.ahead.clear(),
                None => {}
            }
        }
        // Each is sorted once, after reading. Inserting late entries one by one
        // would take quadratic time with logs that were joined.
        for hash in self.disordered.drain() {
            if let Some(entries) = self.index.get_mut(&hash) {
                entries.sort_by_key(|entry| entry.time);
            }
        }
        Ok(())
    }

    /// Removes entries before `floor`. As this looks at all requests, it waits
    /// until a quarter of the jitter, an eighth of the window, has passed.
    fn clear(&mut self, floor: i64) {
        let Some(jitter) = self.jitter else { return };
        if floor.saturating_sub(self.cleared) <= jitter / 4 {
            return;
        }
        self.cleared = floor;
        self.index.retain(|_, entries| {
            let old = entries.partition_point(|entry| entry.time < floor);
            entries.drain(..old);
            !entries.is_empty()
        });
    }

    /// Reads a line of pen's log and stores it if it is in the window. Returns
    /// its time, or `None` if the line is malformed or the log has ended.
    fn read(&mut self, floor: i64) -> Result<Option<i64>, String> {
        if !self.input.next()? {
            self.ended = true;
            return Ok(None);
        }
        self.lines += 1;
        let line = self.input.line.as_slice();
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let Some(([client, server, request], time)) = fields(line) else {
            self.malformed += 1;
            return Ok(None);
        };
        let time = time.saturating_sub(self.shift);
        let server = LogHost::new(server);
        if !self.servers.contains(&server) {
            self.elsewhere += 1;
        } else if time >= floor {
            let entry = LogEntry { time, client: LogHost::new(client) };
            let hash = self.hash(&server, &line::plain_key(request));
            // Most requests occur once in the window. A Vec that starts with
            // room for four takes 257 instead of 171 MB for a million entries.
            let entries = self.index.entry(hash).or_insert_with(|| Vec::with_capacity(1));
            if entries.last().is_some_and(|last| last.time > time) {
                self.disordered.insert(hash);
            }
            entries.push(entry);
        }
        Ok(Some(time))
    }

    /// The counts in one line.
    pub(super) fn summary(&self) -> String {
        format!(
            "{}: {} lines: {} no entries, {} of other servers",
            self.input.name, self.lines, self.malformed, self.elsewhere
        )
    }

    /// Finds the entry of this server and request that is nearest in time, of
    /// two equally near ones the earlier. Returns its client, and how many
    /// seconds later than `time` it is.
    pub(super) fn find(
        &self,
        server: &LogHost,
        request: &[u8],
        time: i64,
    ) -> Option<(&LogHost, i64)> {
        let found = self.nearest(server, &line::escaped_key(request), time);
        if found.is_none() && request.contains(&b'\\') {
            // This web server may not escape.
            return self.nearest(server, &line::plain_key(request), time);
        }
        found
    }

    fn nearest(&self, server: &LogHost, key: &[u8], time: i64) -> Option<(&LogHost, i64)> {
        let entries = self.index.get(&self.hash(server, key))?;
        let first = |time| entries.partition_point(|entry: &LogEntry| entry.time < time);
        let after = first(time);
        let before = after.checked_sub(1).and_then(|at| entries.get(at));
        // Of equally old ones the first counts.
        let before = before.and_then(|before| entries.get(first(before.time)));
        let both = before.into_iter().chain(entries.get(after));
        let distance = |entry: &LogEntry| entry.time.abs_diff(time);
        let nearest = both.min_by_key(|entry| distance(entry))?;
        let is_near = |jitter: i64| distance(nearest) <= jitter.unsigned_abs();
        self.jitter
            .is_none_or(is_near)
            .then_some((&nearest.client, nearest.time.saturating_sub(time)))
    }

    fn hash(&self, server: &LogHost, key: &[u8]) -> RequestHash {
        let (first, second) = &self.hashers;
        (first.hash_one((server, key)), second.hash_one((server, key)))
    }
}

/// Splits a line of pen's log, `client time server request`, and reads the time.
fn fields(line: &[u8]) -> Option<([&[u8]; 3], i64)> {
    let mut words = line.splitn(4, |byte| *byte == b' ');
    let client = words.next().filter(|client| !client.is_empty())?;
    let time = std::str::from_utf8(words.next()?).ok()?.parse().ok()?;
    Some(([client, words.next()?, words.next()?], time))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SERVER: &str = "192.0.2.1";

    fn host(name: &str) -> LogHost {
        LogHost::new(name.as_bytes())
    }

    fn window(jitter: Option<i64>, shift: i64, log: &str) -> Window {
        let log = std::io::Cursor::new(log.as_bytes().to_vec());
        let input = Input::new("pen.log", Box::new(log));
        let servers = [SERVER, "0:0::2", "unix"].map(host).into();
        Window::new(input, servers, jitter, shift)
    }

    /// Entries of the same request at these times, of a client each.
    fn log(times: &[i64]) -> String {
        let line = |(n, time)| format!("client{n} {time} {SERVER} R\n");
        times.iter().enumerate().map(line).collect()
    }

    fn held(window: &Window) -> usize {
        window.index.values().map(Vec::len).sum()
    }

    fn find(window: &mut Window, time: i64) -> Option<(String, i64)> {
        window.advance(time).unwrap();
        let (client, later) = window.find(&host(SERVER), b"R", time)?;
        Some((client.to_string(), later))
    }

    fn found(client: &str, later: i64) -> Option<(String, i64)> {
        Some((client.to_owned(), later))
    }

    #[test]
    fn the_nearest_is_found() {
        let mut window = window(Some(100), 0, &log(&[10, 20, 20, 31, 30]));
        for (time, client, later) in [
            (0, "client0", 10),
            (10, "client0", 0),
            (15, "client0", -5),
            (16, "client1", 4),
            (20, "client1", 0),
            (25, "client1", -5),
            (29, "client4", 1),
            (99, "client3", -68),
        ] {
            assert_eq!(find(&mut window, time), found(client, later), "{time}");
        }
    }

    #[test]
    fn the_jitter_is_the_limit() {
        for (jitter, time, client) in [
            (5, 4, None),
            (5, 5, found("client0", 5)),
            (5, 15, found("client0", -5)),
            (5, 16, None),
            (0, 10, found("client0", 0)),
            (0, 11, None),
            (i64::MAX, i64::MIN + 10, None),
            (i64::MAX, i64::MIN + 11, found("client0", i64::MAX)),
        ] {
            let mut window = window(Some(jitter), 0, &log(&[10]));
            assert_eq!(find(&mut window, time), client, "{jitter} {time}");
        }
        let mut window = window(None, 0, &log(&[10]));
        assert_eq!(find(&mut window, 1_000_000), found("client0", -999_990));
    }

    #[test]
    fn times_are_shifted() {
        for (shift, later) in [(3, 7), (-3, 13), (i64::MIN, i64::MAX), (i64::MAX, 11)] {
            let time = if shift == i64::MAX { i64::MIN } else { 0 };
            let mut window = window(None, shift, &log(&[10]));
            assert_eq!(find(&mut window, time), found("client0", later), "{shift}");
        }
    }

    #[test]
    fn old_entries_are_forgotten() {
        let times: Vec<_> = (0..100_000).collect();
        let mut window = window(Some(100), 0, &log(&times));
        for time in 0..100_000 {
            assert_eq!(find(&mut window, time).unwrap().1, 0);
            assert!(held(&window) <= 200 + 25 + AHEAD + 1, "{}", held(&window));
        }
        assert_eq!(find(&mut window, 1_000_000), None);
        assert_eq!(held(&window), 0);
        assert!(window.ended);
    }

    #[test]
    fn what_is_out_of_the_window_already_is_not_held() {
        let mut window = window(Some(100), 0, &log(&[1; 10_000]));
        assert_eq!(find(&mut window, 1_000), None);
        assert_eq!(held(&window), 0);
    }

    #[test]
    fn late_lines_are_found_too() {
        let mut window = window(Some(100), 0, &log(&[0, 50, 100]));
        assert_eq!(find(&mut window, 100), found("client2", 0));
        assert_eq!(find(&mut window, 10), found("client0", -10));
    }

    #[test]
    fn joined_logs_are_put_in_order() {
        let times: Vec<_> = (0..50_000).chain(0..50_000).chain(7..9).collect();
        let mut window = window(None, 0, &log(&times));
        for time in [0, 7, 49_999] {
            assert_eq!(find(&mut window, time), found(&format!("client{time}"), 0));
        }
        let (_, entries) = window.index.iter().next().unwrap();
        assert!(entries.is_sorted_by_key(|entry| entry.time));
        assert!(window.disordered.is_empty());
    }

    #[test]
    fn one_wrong_time_hides_nothing() {
        let mut window = window(Some(10), 0, &log(&[1, i64::MAX, 2, 30, 3, 40]));
        for (time, client) in [(3, "client4"), (31, "client3"), (40, "client5")] {
            assert_eq!(find(&mut window, time).unwrap().0, client);
        }
    }

    #[test]
    fn malformed_lines_are_skipped() {
        let text = "\n\u{0} \n a\nc x s R\nc 1\nc 1 192.0.2.1\n 1 192.0.2.1 R\n\
                    c 99999999999999999999 192.0.2.1 R\nother 1 192.0.2.9 R\n\
                    good 1 192.0.2.1 R\r\n";
        let mut window = window(None, 0, text);
        assert_eq!(find(&mut window, 1), found("good", 0));
        assert_eq!(held(&window), 1);
        let summary = window.summary();
        assert_eq!(summary, "pen.log: 10 lines: 8 no entries, 1 of other servers");
    }

    #[test]
    fn servers_and_requests_are_kept_apart() {
        let text = "a 1 192.0.2.1 R\nb 1 ::2 R\nc 1 unix R\nd 1 192.0.2.1 RR\n";
        let mut window = window(None, 0, text);
        window.advance(1).unwrap();
        for (server, request, client) in [
            ("::ffff:192.0.2.1", "R", "a"),
            ("::2", "R", "b"),
            ("unix", "R", "c"),
            (SERVER, "RR", "d"),
        ] {
            let (found, _) = window.find(&host(server), request.as_bytes(), 1).unwrap();
            assert_eq!(found, &host(client));
        }
        assert_eq!(window.find(&host("::2"), b"RR", 1), None);
    }
}
