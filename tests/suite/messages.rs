//! Messages: on standard error with the local time, in the background to the
//! system log, and what `-ddd` shows.

use crate::differences::{DEBUG_TERM, SYSLOG};
use crate::harness::{
    Backend, Client, Dir, PATIENCE, Place, Starter, better, is_c_pen, is_root, letters, skipped,
    wait_until, worse,
};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
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
    let place = Place::new();
    // Nine hours east of Greenwich.
    let pen = Starter::new(&place).under("export TZ=EAST-9").server(&place.at()).start();
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
    if !is_root() {
        return skipped("only root can have a /dev/log of its own");
    }
    let (place, jail) = (Place::new(), Dir::new());
    let servers = letters(&place, 1);
    std::fs::create_dir(jail.file("dev")).unwrap();
    let log = UnixDatagram::bind(jail.file("dev/log")).unwrap();
    log.set_read_timeout(Some(PATIENCE)).unwrap();
    let permissions = PermissionsExt::from_mode(0o666);
    std::fs::set_permissions(jail.file("dev/log"), permissions).unwrap();
    let pid_file = jail.file("pid");
    // Otherwise the C program says nothing.
    let debug: &[&str] = if is_c_pen() { &["-d"] } else { &[] };
    let pen = Starter::new(&place)
        .args(["-j", jail.path().to_str().unwrap(), "-p", "/pid"])
        .args(debug)
        .servers(&servers)
        .start_in_background(&pid_file);
    // `<priority>Mmm dd hh:mm:ss ident: text`
    let ident = match worse(&SYSLOG) {
        true => "pen: ".to_owned(),
        false => format!("pen[{}]: ", pen.pid),
    };
    // The facility is user; then debug, or notice.
    let priority = if is_c_pen() { "<15>" } else { "<13>" };
    pen.signal("HUP");
    let mut buffer = [0; 2000];
    let mut message = String::new();
    wait_until("HUP is told", || {
        let count = log.recv(&mut buffer).unwrap();
        message = String::from_utf8_lossy(&buffer[..count]).into_owned();
        message.contains("HUP")
    });
    let rest = message.strip_prefix(priority);
    let rest = rest.and_then(|rest| rest.get("Nov 22 22:02:11 ".len()..));
    assert!(rest.unwrap().starts_with(&ident), "{message}");
}

/// What `-ddd` says of a line that is sent and comes back.
fn dump(option: &str, shown: &str) {
    let place = Place::new();
    let echo = Backend::echo(place.at());
    let mut starter = Starter::new(&place).args([option]).server(&echo.at);
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
    if better(&DEBUG_TERM) {
        return;
    }
    let place = Place::new();
    let servers = letters(&place, 2);
    for _ in 0..2 {
        let mut pen = Starter::new(&place).args(["-rddd"]).servers(&servers).expect("").start();
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
