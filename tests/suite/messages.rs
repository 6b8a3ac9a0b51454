//! Messages: on standard error with the local time, in the background to the
//! system log, and what `-ddd` shows.

use crate::differences::SYSLOG;
use crate::stand::{
    Backend, Background, Client, Dir, Host, Responder, Starter, SystemLog, better, is_c_pen,
    letters, pen_program, wait_until, worse,
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
    let host = Host::new();
    // Nine hours east of Greenwich.
    let pen = Starter::new(&host).under("export TZ=EAST-9").server(&host.at()).start();
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
    let host = Host::new();
    let Some(log) = SystemLog::new() else { return };
    let servers = letters(&host, 1);
    // Otherwise the C program says nothing.
    let debug: &[&str] = if is_c_pen() { &["-d"] } else { &[] };
    let pen = log.start(Starter::new(&host).args(debug).servers(&servers));
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
fn start_with_debug(log: &SystemLog, host: &Host, starter: Starter, level: u8) -> Background {
    let control = host.at();
    let pen = log.start(starter.control(control.clone()));
    let client = Client::new(&control);
    client.send(format!("debug {level}\n"));
    assert_eq!(client.rest(), format!("{level}\n").as_bytes());
    pen
}

/// How much messages matter, as RFC 5424 has it; the facility is daemon.
#[test]
fn each_has_its_level() {
    better!(SYSLOG);
    let (host, dir) = (Host::new(), Dir::new());
    let Some(log) = SystemLog::new() else { return };
    let page = dir.path().to_str().unwrap();
    let server = Backend::letter(host.at(), 'A');
    let starter = Starter::new(&host).args(["-w", page, "-b", "1"]).server(&server.at);
    let pen = start_with_debug(&log, &host, starter, 1);
    let expect = |level: u32, text: &str| {
        let message = log.find(text);
        assert!(message.starts_with(&format!("<{}>", 3 * 8 + level)), "{message}");
    };
    let (error, warning, notice, info) = (3, 4, 5, 6);
    expect(notice, " starting");
    let client = Client::new(&pen.at);
    assert_eq!(client.letter(), "A");
    expect(info, " connected to ");
    drop(client);
    expect(info, ": closed, 0 bytes up, 1 down: client-closed");
    let at = server.at.clone();
    drop(server);
    assert!(Client::new(&pen.at).ends());
    expect(warning, " is down for 1 s: ");
    expect(warning, "drop: ");
    let _server = Backend::letter(at, 'A');
    wait_until("the server is tried again", || !Client::new(&pen.at).letter().is_empty());
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
    let host = Host::new();
    let servers = [host.at()];
    let stream = "export JOURNAL_STREAM=$(stat -L -c %d:%i /proc/self/fd/2)";
    for (stream, is_journal) in [(stream, true), (&format!("{stream}1"), false)] {
        let starter = Starter::new(&host).under(stream).server(&servers[0]);
        let pen = starter.expect(" is down for ").expect("drop: ").start();
        assert!(pen.connect().ends());
        pen.says("drop: ");
        for line in pen.messages() {
            let level = if line.contains("pen 0.") { "<5>pen" } else { "<4>" };
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
        client.send([b'x'; 1024]);
        client.receive(1024);
    }
}

#[test]
fn a_standard_error_that_nobody_reads_stops_nobody() {
    better!(UNREAD);
    let host = Host::new();
    let echo = Backend::echo(host.at());
    let mut pen = Starter::new(&host).args(["-ddd"]).server(&echo.at).expect("").start();
    pen.leave_unread(true);
    say_much(&pen.connect());
    pen.leave_unread(false);
    pen.says(" messages were lost");
    let client = pen.connect();
    client.send("hello\n");
    client.receive(6);
    pen.says("68 65 6c 6c 6f 0a");
    pen.leave_unread(true);
    say_much(&client);
    pen.signal("TERM");
    assert!(pen.wait().success());
}

#[test]
fn a_standard_error_that_nobody_reads_stops_no_datagrams() {
    better!(UNREAD);
    let host = Host::new();
    let server = Responder::echo(host.at());
    let pen = Starter::datagrams(&host).args(["-ddd"]).server(&server.at).expect("").start();
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
    let host = Host::new();
    let Some(log) = SystemLog::new() else { return };
    let echo = Backend::echo(host.at());
    let starter = Starter::new(&host).server(&echo.at);
    let pen = start_with_debug(&log, &host, starter, 3);
    say_much(&Client::new(&pen.at));
    let lost = log.find(" messages were lost");
    assert!(lost.starts_with("<28>"), "{lost}");
    pen.signal("HUP");
    log.find("reloading on HUP");
    say_much(&Client::new(&pen.at));
    pen.signal("TERM");
    wait_until("pen ends", || !pen.is_running());
}

#[test]
fn a_system_log_that_was_restarted_is_found_again() {
    let host = Host::new();
    let Some(mut log) = SystemLog::new() else { return };
    let servers = letters(&host, 1);
    let debug: &[&str] = if is_c_pen() { &["-d"] } else { &[] };
    let pen = log.start(Starter::new(&host).args(debug).servers(&servers));
    for _ in 0..2 {
        pen.signal("HUP");
        log.find("HUP");
        log.restart();
    }
    pen.signal("HUP");
    log.find("HUP");
}

/// What `-ddd` says of a line that is sent and comes back.
fn dump(option: &str, shown: &str) {
    let host = Host::new();
    let echo = Backend::echo(host.at());
    let mut starter = Starter::new(&host).args([option]).server(&echo.at);
    for text in ["listening on", "127.0.0.1"] {
        starter = starter.expect(text);
    }
    let pen = starter.start();
    let client = pen.connect();
    client.send("hello\x01\n");
    assert_eq!(client.receive(7), b"hello\x01\n");
    let times = || pen.messages().iter().filter(|line| line.contains(shown)).count();
    wait_until("both directions are shown", || times() >= 2);
    client.end_sending();
    assert!(client.ends());
}

#[test]
fn ddd_shows_bytes_in_hex() {
    dump("-ddd", "68 65 6c 6c 6f 01 0a");
}

#[test]
fn with_a_they_are_text() {
    dump("-ddda", "hello.");
}

#[test]
fn term_ends_it_whatever_it_says() {
    better!(DEBUG_TERM);
    let host = Host::new();
    let servers = letters(&host, 2);
    for _ in 0..2 {
        let mut pen = Starter::new(&host).args(["-rddd"]).servers(&servers).expect("").start();
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
