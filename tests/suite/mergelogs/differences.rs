//! Where mergelogs does better than the C program: a test for each difference,
//! with the reason.

use super::{BASE, Logs, date, pen, pen_at, warm_up, web, web_line};
use crate::differences::*;
use crate::stand::{better, compared, is_c_pen, program};
use std::fmt::Write as _;

/// The C program does not set the daylight-saving flag before it has the time
/// computed, so what the stack held decides: mostly the second line is an hour
/// early. (It depends on how it was built, so only ours is looked at.)
#[test]
fn no_line_is_an_hour_early() {
    better!(MERGELOGS_ZONE);
    let times = 0..50;
    let text: String = times.clone().map(|t| web(t, "R")).collect();
    let expected: String = times.map(|t| web_line("192.0.2.1", t, "R")).collect();
    assert_eq!(Logs::with("", text).merged("-p pen 192.0.2.1:web"), expected);
}

/// The C program takes the date for one of the host's own zone, too.
#[test]
fn the_zone_of_the_host_does_not_matter() {
    better!(MERGELOGS_ZONE);
    let logs = Logs::with(pen_at(&[0]), warm_up() + &web(0, "R") + &web(2_000, "R"));
    let line = "-p pen 192.0.2.1:web";
    let expected = logs.merged(line);
    assert!(expected.contains(&web_line("client0", 0, "R")));
    for zone in ["Europe/Berlin", "America/Los_Angeles", "Asia/Kathmandu", "XYZ-14", ""] {
        assert_eq!(logs.run_in(zone, &program("mergelogs"), line, b"").out, expected, "{zone}");
    }
}

/// Pen's log has the first 100 bytes of a request only, and the C program
/// compares it with all of the web server's.
#[test]
fn long_requests_match() {
    for length in [99, 100, 101, 150, 5_000] {
        let request = "x".repeat(length);
        let logs = Logs::with(
            pen("10.0.0.1", 0, "192.0.2.1", &request[..length.min(100)]),
            web(1, &request),
        );
        let expected = web_line("10.0.0.1", 1, &request);
        if length <= 100 {
            assert_eq!(logs.merged("-p pen 192.0.2.1:web"), expected);
            logs.same("-p pen 192.0.2.1:web");
        } else {
            logs.differs("-p pen 192.0.2.1:web", &expected, &MERGELOGS_LONG);
        }
    }
}

/// In pen's log what is not printable ASCII is a dot; in the web server's it is
/// escaped. The C program compares the bytes.
#[test]
fn escaped_bytes_match() {
    for (logged, raw) in [
        ("GET /a\\\"b\\\\c HTTP/1.0", "GET /a\"b\\c HTTP/1.0"),
        ("GET /\\xc3\\xa9\\t HTTP/1.0", "GET /... HTTP/1.0"),
        ("GET /é HTTP/1.0", "GET /.. HTTP/1.0"),
        ("GET /a\\rb HTTP/1.0", "GET /a"),
    ] {
        let logs = Logs::with(pen("10.0.0.1", 0, "192.0.2.1", raw), web(0, logged));
        logs.differs("-p pen 192.0.2.1:web", &web_line("10.0.0.1", 0, logged), &MERGELOGS_ESCAPED);
    }
    // A web server that does not escape.
    let logs = Logs::with(pen("10.0.0.1", 0, "192.0.2.1", r"a\x41b"), web(0, r"a\x41b"));
    logs.same("-p pen 192.0.2.1:web");
}

/// The C program drops what is beyond the 1,023rd byte of a line.
#[test]
fn long_lines_stay_whole() {
    for length in [1_022, 10_000, 65_000, 65_536, 200_000] {
        let agent = "y".repeat(length);
        let long = |line: String| line.replace("Agent/1.0 (x)", &agent);
        let logs = Logs::with(pen_at(&[0, 1]), long(web(0, "R")) + &web(1, "R"));
        let expected = long(web_line("client0", 0, "R")) + &web_line("client1", 1, "R");
        logs.differs("-p pen 192.0.2.1:web", &expected, &MERGELOGS_LONG);
    }
}

/// The C program drops a line that it cannot read. It was in the log, so it
/// stays, with dots for control characters, behind the line before it; a request that cannot be read
/// is one that pen's log does not have.
#[test]
fn malformed_lines_are_passed_on() {
    let no_request = format!("- - - [{}]", date(BASE + 2));
    let cut = format!("- - - [{}] \"R", date(BASE + 2));
    for (bad, expected) in [
        ("garbage", "garbage"),
        ("\0\0\0", "..."),
        ("- - - [99/Sep/2001:99:99:99 +0000] \"R\" 1 1", ""),
        ("- - - [09/Xyz/2001:01:46:40 +0000] \"R\" 1 1", ""),
        (&no_request, &no_request.replacen('-', "192.0.2.1", 1)),
        (&cut, &cut.replacen('-', "192.0.2.1", 1)),
    ] {
        let expected = if expected.is_empty() { bad } else { expected };
        let text = format!("{}{bad}\n{}", web(0, "R"), web(9, "R"));
        let logs = Logs::with(pen_at(&[0]), text);
        logs.put("two", web(1, "Q") + &web(8, "Q"));
        let mut all = web_line("client0", 0, "R");
        let other = web_line("h", 1, "Q");
        // Without a time of its own it belongs to the line before it.
        let timed = bad.contains(&date(BASE + 2));
        let order = if timed { [&other, expected] } else { [expected, &other] };
        for line in order {
            let _ = writeln!(all, "{}", line.trim_end());
        }
        all += &(web_line("h", 8, "Q") + &web_line("client0", 9, "R"));
        logs.differs("-p pen 192.0.2.1:web h:two", &all, &MERGELOGS_BAD);
    }
}

/// The C program takes the first colon for the end of the server.
#[test]
fn servers_may_have_ipv6_addresses() {
    let logs = Logs::with(
        pen("2001:db8::5", 0, "2001:db8::1", "R") + &pen("192.0.2.5", 0, "192.0.2.1", "R"),
        web(0, "R") + &web(700, "R"),
    );
    for (operand, client, server) in [
        ("[2001:db8::1]:web", "2001:db8::5", "2001:db8::1"),
        ("2001:db8::1:web", "2001:db8::5", "2001:db8::1"),
        ("[2001:DB8:0::1]:web", "2001:db8::5", "2001:db8::1"),
        ("::ffff:192.0.2.1:web", "192.0.2.5", "192.0.2.1"),
    ] {
        let expected = web_line(client, 0, "R") + &web_line(server, 700, "R");
        logs.differs(&format!("-p pen {operand}"), &expected, &MERGELOGS_V6);
    }
}

/// The C program waits at the first entry beyond its window until the web
/// servers' lines get there.
#[test]
fn one_wrong_time_in_pens_log_hides_nothing() {
    let pen_log = pen("h", 999_999_999, "192.0.2.1", "Q") + &pen_at(&[0]);
    let logs = Logs::with(pen_log, web(0, "R"));
    logs.differs("-p pen 192.0.2.1:web", &web_line("client0", 0, "R"), &MERGELOGS_WINDOW);
}

/// That entry beyond the window is found by the C program, how far ever it is.
#[test]
fn no_entry_beyond_the_window_is_found() {
    let logs = Logs::with(pen_at(&[5_000]), web(0, "R"));
    logs.differs("-p pen 192.0.2.1:web", &web_line("192.0.2.1", 0, "R"), &MERGELOGS_WINDOW);
}

/// A pen's log that was edited elsewhere has lines that end in CR LF.
#[test]
fn a_carriage_return_ends_a_line_of_pens_log() {
    let logs = Logs::with(pen_at(&[0]).replace('\n', "\r\n"), web(0, "R"));
    logs.differs("-p pen 192.0.2.1:web", &web_line("client0", 0, "R"), &MERGELOGS_CR);
}

/// The C program takes a number that is none for 0, and shows its usage, with
/// status 0, for an option it does not know.
#[test]
fn bad_options_are_errors() {
    if is_c_pen() {
        return;
    }
    let logs = Logs::with("", "");
    for options in ["-j abc", "-t abc", "-j -5", "-q", "--nonsense", "-p"] {
        let ours = logs.ours(&format!("192.0.2.1:web -p pen {options}"));
        assert_eq!((ours.out.as_str(), ours.status), ("", 1), "{options}");
        assert!(ours.err.starts_with(&format!("mergelogs: {options}: ")));
        assert_eq!(ours.err.lines().count(), 1, "{}", ours.err);
        if let Some(oracle) = logs.oracle(&format!("192.0.2.1:web -p pen {options}")) {
            assert_eq!(oracle.status, 0, "no longer different");
            compared("", Some(&WRONG_WORD));
        }
    }
}

/// A long line goes out in pieces, and only the last one's CR ends the line.
#[test]
fn long_lines_cannot_pretend() {
    better!(OTHERS_LINES);
    let around = web_line("192.0.2.1", 0, "").trim_end().len();
    for length in [65_534, 65_535, 65_536] {
        let start = web_line("192.0.2.1", 0, &"x".repeat(length - around));
        let start = start.trim_end();
        let logs = Logs::with("", format!("{start}\r198.51.100.7 -\n"));
        let want = format!("{start}.198.51.100.7 -\n");
        assert!(logs.merged("-p pen 192.0.2.1:web") == want, "{length}");
    }
}
