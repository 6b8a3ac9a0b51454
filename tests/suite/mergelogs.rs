//! mergelogs from outside, beside the C program where that is installed.
//!
//! Where the C program is right, both must print the same. Where it is not,
//! there is a test named after the difference, which says why.

mod differences;

use crate::differences::*;
use crate::stand::{Dir, better, c_program, compared, is_c_pen, program, skipped};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

/// 9 September 2001, 01:46:40 UTC.
const BASE: i64 = 1_000_000_000;

/// What a run printed, and its exit status.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    out: String,
    err: String,
    status: i32,
}

/// A directory of logs.
struct Logs(Dir);

impl Logs {
    fn new() -> Logs {
        Logs(Dir::new())
    }

    fn put(&self, name: &str, text: impl AsRef<[u8]>) -> &Logs {
        self.0.put(name, text);
        self
    }

    /// Pen's log and the log of the server 192.0.2.1.
    fn with(pen_log: impl AsRef<[u8]>, web: impl AsRef<[u8]>) -> Logs {
        let logs = Logs::new();
        logs.put("pen", pen_log).put("web", web);
        logs
    }

    fn run_in(&self, zone: &str, program: &Path, line: &str, input: &[u8]) -> Outcome {
        let mut child = Command::new(program)
            .args(line.split_whitespace())
            .current_dir(self.0.path())
            .env("TZ", zone)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        // It may have ended without reading any.
        let _ = child.stdin.take().unwrap().write_all(input);
        let output = child.wait_with_output().unwrap();
        Outcome {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            status: output.status.code().expect("killed"),
        }
    }

    /// The program under test.
    fn ours(&self, line: &str) -> Outcome {
        self.run_in("UTC", &program("mergelogs"), line, b"")
    }

    /// The C program beside ours.
    fn oracle(&self, line: &str) -> Option<Outcome> {
        let oracle = c_program("mergelogs")?;
        Some(self.run_in("UTC", &oracle, line, b""))
    }

    /// What is printed when all is well.
    fn merged(&self, line: &str) -> String {
        let outcome = self.ours(line);
        assert_eq!((outcome.err.as_str(), outcome.status), ("", 0), "{line}");
        outcome.out
    }

    /// The clients of the lines that are printed.
    fn clients(&self, line: &str) -> Vec<String> {
        let merged = self.merged(line);
        merged.lines().map(|line| first_word(line).into()).collect()
    }

    /// Both print the same, warm-up lines aside.
    fn same(&self, line: &str) {
        let ours = self.merged(line);
        let Some(oracle) = self.oracle(line) else { return };
        let lines = |text: &str| -> Vec<String> {
            let lines = text.lines().filter(|line| !line.contains("warm-up"));
            lines.map(str::to_owned).collect()
        };
        let (ours, oracle) = (lines(&ours), lines(&oracle.out));
        for (number, pair) in ours.iter().zip(&oracle).enumerate() {
            assert_eq!(pair.0, pair.1, "line {number} of {line}");
        }
        assert_eq!(ours.len(), oracle.len(), "{line}");
        compared("", None);
    }

    /// Ours prints this, and the C program does not.
    fn differs(&self, line: &str, expected: &str, difference: &Difference) {
        if is_c_pen() {
            return;
        }
        assert_eq!(self.merged(line), expected, "{line}");
        if let Some(oracle) = self.oracle(line) {
            assert_ne!(oracle.out, expected, "no longer different");
            compared("", Some(difference));
        }
    }
}

fn first_word(line: &str) -> &str {
    line.split(' ').next().unwrap()
}

/// The date in a web server's log; `time` is of the day of [`BASE`].
fn date(time: i64) -> String {
    let second = time - BASE + 6_400;
    assert!((0..86_400).contains(&second), "another day");
    let (hour, minute) = (second / 3_600, second / 60 % 60);
    format!("09/Sep/2001:{hour:02}:{minute:02}:{:02} +0000", second % 60)
}

/// A line of a web server's log, with this client.
fn web_line(client: &str, time: i64, request: &str) -> String {
    let date = date(BASE + time);
    format!("{client} - - [{date}] \"{request}\" 200 17 \"-\" \"Agent/1.0 (x)\"\n")
}

/// The same as the web server writes it, knowing only pen.
fn web(time: i64, request: &str) -> String {
    web_line("198.51.100.7", time, request)
}

/// A line of pen's log.
fn pen(client: &str, time: i64, server: &str, request: &str) -> String {
    format!("{client} {} {server} {request}\n", BASE + time)
}

/// A log of 192.0.2.1 with an entry of R at each of these times.
fn pen_at(times: &[i64]) -> String {
    let entry = |time: &i64| pen(&format!("client{time}"), *time, "192.0.2.1", "R");
    times.iter().map(entry).collect()
}

/// The C program reads one of the first two dates an hour wrong, so the first
/// two lines of the first log are of no interest, and older than all others.
fn warm_up() -> String {
    web(-6_000, "warm-up").repeat(2)
}

/// Numbers without a pattern, the same in each run.
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }
}

/// Logs of some servers: each second a few requests for a few pages, which the
/// web servers log up to `late` seconds later. Some are in one log only.
fn generated(seconds: i64, servers: u64, late: u64) -> Logs {
    let logs = Logs::new();
    let mut dice = Dice(88_172_645_463_325_252 + servers);
    let mut pen_log = String::new();
    let mut webs = vec![String::new(); servers as usize];
    webs[0] = warm_up();
    for time in 0..seconds {
        // The C program has one entry too many in its window, the one behind
        // its end. Let that be one that nobody looks for.
        pen_log += &pen("192.0.2.9", time, "192.0.2.1", "filler");
        for _ in 0..dice.below(4) {
            let index = dice.below(servers);
            let client = format!("10.0.{}.{}", dice.below(9), dice.below(256));
            let request = format!("GET /{} HTTP/1.1", dice.below(50) * dice.below(50));
            let fate = dice.below(20);
            if fate != 0 {
                pen_log += &pen(&client, time, &format!("192.0.2.{}", index + 1), &request);
            }
            if fate != 1 {
                let logged = time + dice.below(late + 1) as i64;
                webs[index as usize] += &web(logged, &request);
            }
        }
    }
    logs.put("pen", pen_log);
    for (index, text) in webs.iter().enumerate() {
        logs.put(&format!("web{}", index + 1), text);
    }
    logs
}

#[test]
fn two_servers_as_the_oracle() {
    if is_c_pen() {
        return;
    }
    let logs = generated(2_000, 2, 3);
    logs.same("-p pen 192.0.2.1:web1 192.0.2.2:web2");
    logs.same("-p pen 192.0.2.2:web2 192.0.2.1:web1 -j 300");
    // Servers change places: little is found.
    logs.same("-p pen 192.0.2.2:web1 192.0.2.1:web2");
    // The C program then reads pen's log again for each line.
    generated(500, 2, 3).same("-c -p pen 192.0.2.1:web1 192.0.2.2:web2");
}

#[test]
fn three_servers_as_the_oracle() {
    if is_c_pen() {
        return;
    }
    let logs = generated(1_500, 3, 0);
    let servers = "192.0.2.1:web1 192.0.2.2:web2 192.0.2.3:web3";
    for options in ["", "-j 5", "-j 0", "-t 7", "-j 20 -t -7", "-c -t 100", "-dd"] {
        let line = format!("-p pen {options} {servers}");
        if options == "-dd" {
            // More is said, but not there.
            assert_eq!(logs.ours(&line).out, logs.merged(&line.replace("-dd", "")));
        } else {
            logs.same(&line);
        }
    }
    // One of them only.
    logs.same("-p pen 192.0.2.1:web1");
}

#[test]
fn the_oldest_next_line_comes_first() {
    let (first, second) = (Logs::new(), "-p pen a:one b:two c:three");
    let all = |times: &[i64]| -> String { times.iter().map(|t| web(*t, "R")).collect() };
    first.put("pen", "");
    // The log of b goes back in time: its lines keep their order.
    first.put("one", warm_up() + &all(&[1, 3, 5]));
    first.put("two", all(&[1, 4, 2, 5]));
    first.put("three", all(&[0, 5, 6]));
    let clients = first.clients(second);
    assert_eq!(clients[2..].join(""), "cababbabcc");
    first.same(second);
    first.same("-p pen a:one a:two a:three");
}

#[test]
fn the_jitter_is_the_limit() {
    better!(MERGELOGS_WINDOW);
    let text = [-601, -600, 600, 601].map(|t| web(t, "R")).concat();
    let logs = Logs::with(pen_at(&[0]), text);
    let server = "192.0.2.1";
    for (options, expected) in [
        ("", [server, "client0", "client0", server]),
        ("-j 600", [server, "client0", "client0", server]),
        ("-j 601", ["client0"; 4]),
        ("-j 599", [server; 4]),
        ("-j 0", [server; 4]),
        ("-c", ["client0"; 4]),
        ("-c -j 0", ["client0"; 4]),
    ] {
        let clients = logs.clients(&format!("-p pen {options} 192.0.2.1:web"));
        assert_eq!(clients, expected, "{options}");
    }
}

#[test]
fn pen_times_are_shifted() {
    let logs = Logs::with(pen_at(&[-3_600, 0, 3_600]), warm_up() + &web(5, "R"));
    for (options, client) in [
        ("", "client0"),
        ("-t 3600", "client3600"),
        ("-t -3600", "client-3600"),
        ("-c -t 3590", "client3600"),
    ] {
        let line = format!("-p pen {options} 192.0.2.1:web");
        assert_eq!(logs.clients(&line)[2], client);
        logs.same(&line);
    }
}

#[test]
fn nothing_or_no_newline_at_the_end() {
    let logs = Logs::with(pen_at(&[0]), web(0, "R"));
    logs.put("empty", "").put("newlines", "\n\r\n\n");
    assert_eq!(logs.merged("-p pen 192.0.2.1:empty"), "");
    assert_eq!(logs.merged("-p pen 192.0.2.1:newlines"), "");
    logs.same("-p empty 192.0.2.1:web 192.0.2.2:empty");
    let whole = logs.merged("-p pen 192.0.2.1:web");
    assert_eq!(whole, web_line("client0", 0, "R"));
    logs.put("pen", pen_at(&[0]).trim_end());
    logs.put("web", web(0, "R").trim_end());
    assert_eq!(logs.merged("-p pen 192.0.2.1:web"), whole);
    logs.same("-p pen 192.0.2.1:web");
}

#[test]
fn standard_input_is_a_log_too() {
    better!(MERGELOGS_STDIN);
    let logs = Logs::with(pen_at(&[0]), web(0, "R"));
    let expected = logs.merged("-p pen 192.0.2.1:web");
    for (line, input) in [("-p pen 192.0.2.1:-", web(0, "R")), ("-p - 192.0.2.1:web", pen_at(&[0]))]
    {
        let outcome = logs.run_in("UTC", &program("mergelogs"), line, input.as_bytes());
        assert_eq!(outcome.out, expected, "{line}");
    }
}

#[test]
fn debugging_tells_on_standard_error() {
    better!(MERGELOGS_DEBUG);
    let text = web(0, "R") + &web(1, "other") + "bad\x1b\n";
    let logs = Logs::with(pen_at(&[-2]) + "x\n", text);
    let quiet = logs.merged("-p pen 192.0.2.1:web");
    for (options, lines) in [("-d", 2), ("-d -d", 4), ("-ddd", 5)] {
        let outcome = logs.ours(&format!("-p pen {options} 192.0.2.1:web"));
        assert_eq!((&outcome.out, outcome.status), (&quiet, 0));
        assert_eq!(outcome.err.lines().count(), lines, "{}", outcome.err);
        assert!(outcome.err.contains("3 lines: 1 in pen's log, 1 not, 1 no log lines"));
        assert!(outcome.err.contains("pen: 2 lines: 1 no entries"));
        assert!(!outcome.err.contains('\x1b'));
    }
}

#[test]
fn a_closed_output_is_no_error() {
    better!(MERGELOGS_PIPE);
    let logs = Logs::with("", web(0, "R").repeat(20_000));
    let mut child = Command::new(program("mergelogs"))
        .args(["-p", "pen", "192.0.2.1:web"])
        .current_dir(logs.0.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 9];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    assert_eq!(&start, b"192.0.2.1");
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    assert!(output.stderr.is_empty());
}

#[test]
fn calls_end_as_with_the_oracle() {
    let logs = Logs::with("", "");
    for (line, status, word) in [
        ("", 0, ""),
        ("-p pen", 0, ""),
        ("192.0.2.1:web", 1, "-p"),
        ("-p none 192.0.2.1:web", 1, "none: cannot open: No such file"),
        ("-p pen 192.0.2.1:none", 1, "none: cannot open: No such file"),
        ("-p pen web", 1, "web: expected server:logfile"),
        ("-p pen 192.0.2.1:web -d", 0, ""),
    ] {
        let ours = logs.ours(line);
        assert_eq!(ours.status, status, "{line}");
        assert!(ours.err.contains(word) || is_c_pen(), "{line}: {}", ours.err);
        assert!(status == 0 || !ours.err.is_empty() || is_c_pen(), "{line}");
        if let Some(oracle) = logs.oracle(line) {
            assert_eq!(oracle.status, status, "{line}");
            assert_eq!(oracle.out.is_empty(), ours.out.is_empty(), "{line}");
            compared("", None);
        }
    }
    better!(WRONG_WORD);
    let whole = logs.ours("-p pen 192.0.2.1:/");
    assert_eq!((whole.out.as_str(), whole.status), ("", 1));
    assert!(whole.err.starts_with("mergelogs: /: cannot read: "));
}

#[test]
fn the_zone_of_the_log_is_honoured() {
    let here = [
        ("09/Sep/2001:03:46:40 +0200", "09/Sep/2001:01:46:40 +0000"),
        ("08/Sep/2001:16:16:41 -0930", "09/Sep/2001:01:46:41 +0000"),
        ("08/Sep/2001:23:59:59 -0147", "09/Sep/2001:01:46:59 +0000"),
    ];
    let logs = Logs::new();
    logs.put("pen", pen_at(&[-3, 4]));
    for (from, to) in here {
        logs.put("web", web(0, "R").replace(&date(BASE), from));
        let client = match to.contains(":40 ") {
            true => "client-3",
            false => "client4",
        };
        let expected = web_line(client, 0, "R").replace(&date(BASE), to);
        assert_eq!(logs.merged("-p pen 192.0.2.1:web"), expected);
        logs.same("-p pen 192.0.2.1:web");
    }
}

/// On a terminal, if its output goes elsewhere. The log ends when it has been seen.
#[test]
fn a_terminal_sees_how_far_it_is() {
    better!(MERGELOGS_PROGRESS);
    let logs = Logs::with("", "");
    let fifo = logs.0.file("fifo");
    if !Command::new("mkfifo").arg(&fifo).status().is_ok_and(|status| status.success()) {
        return skipped("mkfifo is not installed");
    }
    let line = format!("{} -p pen 192.0.2.1:fifo >out", program("mergelogs").display());
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]).current_dir(logs.0.path());
    let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = spawned else {
        return skipped("script is not installed");
    };
    let mut log = std::fs::File::options().write(true).open(&fifo).unwrap();
    let mut out = child.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        let mut shown = Vec::new();
        while !String::from_utf8_lossy(&shown).contains("mergelogs: 0 MiB read") {
            let mut piece = [0; 1000];
            let count = out.read(&mut piece).unwrap();
            assert!(count > 0, "{}", String::from_utf8_lossy(&shown));
            shown.extend_from_slice(&piece[..count]);
        }
        out
    });
    while !reader.is_finished() {
        let _ = log.write_all(b"a line\n");
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let mut out = reader.join().unwrap();
    drop(log);
    let mut rest = String::new();
    let _ = out.read_to_string(&mut rest);
    assert!(rest.ends_with("\x1b[K\r"), "{rest:?}");
    assert!(child.wait().unwrap().success());
}
