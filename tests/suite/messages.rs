//! Messages: on standard error with the local time, in the background to the
//! system log, and what `-ddd` shows.

use crate::differences::SYSLOG;
use crate::stand::{
    Backend, Background, Client, Starter, SystemLog, better, is_c_pen, pen_program, wait_until,
    worse,
};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The seconds of the day in `2026-11-22 22:02:11: text`.
fn time_of(line: &str) -> Option<u64> {
    let form = "dddd-dd-dd dd:dd:dd: ";
    let mut pairs = line.chars().zip(form.chars());
    let fits = pairs.all(|(c, wanted)| match wanted {
        'd' => c.is_ascii_digit(),
        other => c == other,
    });
    let number = |at: usize| line[at..at + 2].parse::<u64>().unwrap();
    (fits && line.len() > form.len()).then(|| number(11) * 3600 + number(14) * 60 + number(17))
}

#[test]
fn they_have_the_local_time() {
    // Nine hours east of Greenwich.
    let pen = Starter::new().under("export TZ=EAST-9").absent().start();
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let there = (now.as_secs() + 9 * 3600) % 86_400;
    let messages = pen.messages();
    // The C program has others among them.
    let times: Vec<_> = messages.iter().filter_map(|line| time_of(line)).collect();
    assert!(times.len() == messages.len() || is_c_pen(), "{messages:?}");
    let age = (there + 86_400 - times.last().unwrap()) % 86_400;
    assert!(age < 20, "{messages:?}");
}

#[test]
fn in_the_background_they_go_to_the_system_log() {
    let Some(log) = SystemLog::new() else { return };
    // Otherwise the C program says nothing.
    let debug: &[&str] = if is_c_pen() { &["-d"] } else { &[] };
    let pen = log.start(Starter::new().args(debug).letters(1));
    // `<priority>Mmm dd hh:mm:ss ident: text`
    let ident = match worse(&SYSLOG) {
        true => "pen: ".to_owned(),
        false => format!("pen[{}]: ", pen.pid),
    };
    // Facility user, debug; facility daemon, notice.
    let priority = if is_c_pen() { "<15>" } else { "<29>" };
    pen.signal("HUP");
    let message = log.find("HUP");
    let rest = message.strip_prefix(priority);
    let rest = rest.and_then(|rest| rest.get("Nov 22 22:02:11 ".len()..));
    assert!(rest.unwrap().starts_with(&ident), "{message}");
}

/// Starts a pen that says more. On the command line that would begin before
/// the parent has left.
fn start_with_debug(log: &SystemLog, starter: Starter, level: u8) -> Background {
    let control = starter.host.at();
    let pen = log.start(starter.control_at(control.clone()));
    let client = Client::new(&control);
    client.send(format!("debug {level}\n"));
    assert_eq!(client.rest(), format!("{level}\n").as_bytes());
    pen
}

/// How much messages matter, as RFC 5424 has it; the facility is daemon.
#[test]
fn each_has_its_level() {
    better!(SYSLOG);
    let Some(log) = SystemLog::new() else { return };
    let starter = Starter::new().file("-w", "page").args(["-b", "1"]).letters(1);
    let mut pen = start_with_debug(&log, starter, 1);
    let expect = |level: u32, text: &str| {
        let message = log.find(text);
        assert!(message.starts_with(&format!("<{}>", 3 * 8 + level)), "{message}");
    };
    let (error, warning, notice, info) = (3, 4, 5, 6);
    expect(notice, " starting");
    let client = pen.connect();
    assert_eq!(client.letter(), "A");
    expect(info, " connected to ");
    drop(client);
    expect(info, ": closed, 0 bytes up, 1 down: client-closed");
    let at = pen.servers.remove(0).at().clone();
    assert!(pen.connect().ends());
    expect(warning, " is down, next try in 1 s: ");
    expect(warning, "drop: ");
    let _server = Backend::letter(at, 'A');
    wait_until("the server is tried again", || !pen.connect().letter().is_empty());
    expect(notice, " is up again");
    // The jail has no such directory.
    pen.signal("USR1");
    expect(error, "cannot write the report");
    pen.signal("TERM");
    expect(notice, "pen is stopping");
}

/// systemd.exec(5): device and inode of the journal's stream. sd-daemon(3):
/// what begins a line. The journal has the time itself.
#[test]
fn under_systemd_they_have_a_level_and_no_time() {
    better!(JOURNAL);
    let stream = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)";
    for (stream, is_journal) in [(stream, true), (&format!("{stream}1"), false)] {
        let starter = Starter::new().under(stream).absent();
        let pen = starter.expect(" is down, next try in ").expect("drop: ").start();
        assert!(pen.connect().ends());
        pen.says("drop: ");
        for line in pen.messages() {
            let level = if line.ends_with(" starting") { "<5>pen" } else { "<4>" };
            assert_eq!(line.starts_with(level), is_journal, "{line}");
            assert_eq!(time_of(&line).is_none(), is_journal, "{line}");
        }
    }
    let output = Command::new("sh")
        .args(["-c", &format!("{stream}; exec \"$0\" -x none"), pen_program().to_str().unwrap()])
        .stderr(Stdio::piped())
        .output();
    let text = String::from_utf8(output.unwrap().stderr).unwrap();
    assert!(text.starts_with("<3>pen: fatal: "), "{text}");
}

/// More than pen keeps for who reads its messages, with `-ddd`.
fn say_much(client: &Client) {
    for _ in 0..400 {
        client.echoes([b'x'; 1024]);
    }
}

#[test]
fn a_standard_error_that_nobody_reads_stops_nobody() {
    better!(UNREAD);
    let mut pen = Starter::new().args(["-ddd"]).echo().expect("").start();
    pen.leave_unread(true);
    say_much(&pen.connect());
    pen.leave_unread(false);
    pen.says(" messages were lost");
    let client = pen.connect();
    client.echoes("hello\n");
    pen.says("68 65 6c 6c 6f 0a");
    pen.leave_unread(true);
    say_much(&client);
    pen.signal("TERM");
    assert!(pen.wait().success());
}

#[test]
fn a_standard_error_that_nobody_reads_stops_no_datagrams() {
    better!(UNREAD);
    let pen = Starter::new().udp().args(["-ddd"]).echo().expect("").start();
    pen.leave_unread(true);
    let text = "x".repeat(1024);
    for _ in 0..400 {
        assert_eq!(pen.asker().ask(&text), text);
    }
    pen.leave_unread(false);
    pen.says(" messages were lost");
}

#[test]
fn a_system_log_that_nobody_reads_stops_nobody() {
    better!(UNREAD);
    let Some(log) = SystemLog::new() else { return };
    let pen = start_with_debug(&log, Starter::new().echo(), 3);
    say_much(&pen.connect());
    let lost = log.find(" messages were lost");
    assert!(lost.starts_with("<28>"), "{lost}");
    pen.signal("HUP");
    log.find("reloading on HUP");
    say_much(&pen.connect());
    pen.signal("TERM");
    wait_until("pen ends", || !pen.is_running());
}

#[test]
fn a_system_log_that_was_restarted_is_found_again() {
    let Some(mut log) = SystemLog::new() else { return };
    let debug: &[&str] = if is_c_pen() { &["-d"] } else { &[] };
    let pen = log.start(Starter::new().args(debug).letters(1));
    for _ in 0..2 {
        pen.signal("HUP");
        log.find("HUP");
        log.restart();
    }
    pen.signal("HUP");
    log.find("HUP");
}

#[test]
fn ddd_shows_bytes_in_hex_and_with_a_as_text() {
    for (option, shown) in [("-ddd", "68 65 6c 6c 6f 01 0a"), ("-ddda", "hello.")] {
        let starter = Starter::new().args([option]).echo();
        let pen = starter.expect("listening on").expect("127.0.0.1").start();
        let client = pen.connect();
        client.echoes("hello\x01\n");
        wait_until("both directions are shown", || pen.times_said(shown) >= 2);
        client.end_sending();
        assert!(client.ends());
    }
}

#[test]
fn term_ends_it_whatever_it_says() {
    better!(DEBUG_TERM);
    for _ in 0..2 {
        let mut pen = Starter::new().args(["-rddd"]).letters(2).expect("").start();
        std::thread::scope(|scope| {
            let at = pen.at.clone();
            let clients = scope.spawn(move || {
                while let Ok(stream) = at.connect() {
                    let _ = Client(stream).ends();
                }
            });
            wait_until("it is busy", || pen.messages().len() > 50);
            pen.signal("TERM");
            assert!(pen.wait().success());
            clients.join().unwrap();
        });
    }
}
