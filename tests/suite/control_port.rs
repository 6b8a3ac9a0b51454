//! The control port: who may use it, and what disturbs it.

use crate::differences::{ESCAPED, SHARED_CONTROL};
use crate::stand::{
    At, Client, Dir, Host, Starter, better, is_root, refused, root, stale_socket, wait_until, worse,
};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::time::{Duration, Instant};

#[test]
fn a_command_in_pieces_or_without_an_end_is_a_command() {
    better!(PIECES);
    let pen = Starter::new().control().start();
    let control = pen.control();
    let client = Client::new(control);
    for piece in ["mo", "de", "\n"] {
        client.send(piece);
    }
    let whole = client.rest();
    assert_eq!(whole, pen.ask("mode").into_bytes());
    let client = Client::new(control);
    client.send("mode");
    client.end_sending();
    assert_eq!(client.rest(), whole);
}

/// As bash's /dev/tcp and OpenBSD's nc do: no newline, and both wait.
#[test]
fn a_command_without_newline_or_end_is_carried_out() {
    let pen = Starter::new().control().start();
    let control = pen.control();
    for (line, reply) in [("blacklist 17", "17\n"), ("blacklist", "17\n")] {
        let client = Client::new(control);
        client.send(line);
        assert_eq!(String::from_utf8_lossy(&client.rest()), reply);
    }
    assert_eq!(pen.ask("blacklist"), "17\n");
}

#[test]
fn half_a_command_is_none() {
    better!(PIECES);
    let pen = Starter::new().control().start();
    let control = pen.control();
    let client = Client::new(control);
    // Nothing of it is a command until its end is there.
    for piece in ["server 0 ad", "dress 127.0.0.1 po", "rt", " 9\n"] {
        client.send(piece);
        assert!(client.is_quiet() || piece.ends_with('\n'), "after {piece:?}");
    }
    assert_eq!(client.rest(), b"");
    let list = pen.ask("servers");
    assert!(list.starts_with("0 addr 127.0.0.1 port 9 "), "{list}");
}

#[test]
fn whether_a_command_was_refused_can_be_asked() {
    better!(NEW_COMMANDS);
    let pen = Starter::new().control().start();
    assert_eq!(pen.ask("try blacklist 17"), "ok\n17\n");
    assert_eq!(pen.ask("try nonsense"), format!("refused\n{}", pen.ask("nonsense")));
    assert!(pen.ask("try try mode").starts_with("try: unexpected"));
}

#[test]
fn a_unix_socket_is_for_its_user_alone_and_goes_with_pen() {
    better!(CONTROL_MODE);
    let dir = Dir::new().open_to_all();
    let path = dir.file("ctl");
    let mut starter = Starter::new().control_at(At::Unix(path.clone()));
    if is_root() {
        starter = starter.args(["-u", "nobody"]);
    }
    let pen = starter.start();
    let meta = std::fs::metadata(&path).unwrap();
    assert_eq!(meta.permissions().mode() & 0o777, 0o600);
    let uid = pen.status().number("Uid");
    assert_eq!(u64::from(meta.uid()), uid);
    assert_eq!(pen.ask("pid"), format!("{}\n", pen.pid()));
    drop(pen);
    assert!(!path.exists());
}

#[test]
fn two_pens_do_not_share_one() {
    let (host, dir) = (Host::new(), Dir::new());
    for control in [host.at(), At::Unix(dir.file("ctl"))] {
        let pen = Starter::on(&host).control_at(control.clone()).start();
        if worse(&SHARED_CONTROL) {
            let _second = Starter::on(&host).control_at(control).start();
            return;
        }
        let (other, word) = (host.at().to_string(), control.to_string());
        let user = if is_root() { "root" } else { "" };
        let words = ["-C", &word, "-u", user, &other];
        let words = if is_root() { &words[..] } else { &[words[0], words[1], words[4]] };
        refused(words, &["-C ", &word, " in use"]);
        assert_eq!(pen.ask("pid"), format!("{}\n", pen.pid()));
        drop(pen);
        // What was left behind by somebody who is gone is in nobody's way.
        if let At::Unix(path) = &control {
            stale_socket(path);
        }
        Starter::on(&host).control_at(control).start().ask("mode");
    }
}

#[test]
fn root_without_a_user_gets_none() {
    root!();
    let starter = Starter::new();
    let control = starter.host.at();
    let starter = starter.args(["-C", &control.to_string()]);
    let pen = starter.expect("not opened, as pen runs as root").start();
    pen.says("not opened");
    assert!(control.connect().is_err());
}

#[test]
fn a_list_keeps_clients_out() {
    let pen = Starter::new()
        .control()
        .args(["-O", "acl 3 deny 127.0.0.0 255.0.0.0", "-O", "control_acl 3"])
        .expect("control connection denied")
        .start();
    assert!(Client::new(pen.control()).ends());
}

/// Silent clients, nonsense and a flood: traffic and commands go on, and
/// nothing of it stays.
#[test]
fn abuse_disturbs_nobody() {
    better!(SILENT_CLIENT);
    let pen = Starter::new().letters(1).control().start();
    let control = pen.control();
    assert_eq!(pen.letter(), "A");
    let threads = || pen.status().number("Threads");
    let before = threads();

    let silent: Vec<Client> = (0..200).map(|_| Client::new(control)).collect();
    let start = Instant::now();
    assert!(pen.ask("mode").starts_with("no hash"));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(pen.letter(), "A");
    // Never more than a fixed number of threads for control connections.
    assert!(threads() < before + 40, "{} threads, {before} before", threads());

    let mut seed = 4711_u32;
    let mut random = || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 24
    };
    for _ in 0..500 {
        let line: Vec<u8> = (0..random()).map(|_| random() as u8).collect();
        let line = [&line[..], b"\n"].concat();
        let client = Client::new(control);
        let _ = (&client.0).write_all(&line);
        let _ = client.0.shutdown(Shutdown::Write);
        let _ = (&client.0).read(&mut [0; 100]);
    }
    let client = Client::new(control);
    let _ = (&client.0).write_all(&vec![0; 1 << 20]);
    let start = Instant::now();
    assert!(pen.ask("mode").starts_with("no hash"));
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(pen.letter(), "A");
    drop((silent, client));
    wait_until("control threads have gone", || threads() <= before);
}

#[test]
fn a_line_that_is_too_long_is_refused() {
    better!(PIECES);
    let pen = Starter::new().control().start();
    let reply = pen.ask(&"x".repeat(10_000));
    assert_eq!(reply, "line longer than 4095 bytes\n");
    let longest = format!("mode{}", " ".repeat(4091));
    assert!(pen.ask(&longest).starts_with("no hash"));
}

#[test]
fn whatever_is_sent_comes_back_harmless() {
    let pen = Starter::new().control().start();
    let sent = "\x1b[2Jfoo\x07";
    let shown = if worse(&ESCAPED) { sent } else { "\\x1b[2Jfoo\\x07" };
    let reply = format!("do_cmd: ignoring command starting with '{shown}'\n");
    assert_eq!(pen.ask(sent), reply);
}

#[test]
fn help_lists_every_command() {
    better!(NEW_COMMANDS);
    let pen = Starter::new().control().start();
    let help = pen.ask("help");
    for spec in pen::control::table::TABLE {
        let no = if spec.has_no() { "[no] " } else { "" };
        let usage = format!("{no}{} {}", spec.name, spec.args);
        let line = format!("{} - {}", usage.trim_end(), spec.help);
        assert!(help.lines().any(|l| l == line), "{line}");
    }
}

#[test]
fn exit_ends_pen_if_it_may() {
    let mut pen = Starter::new().args(["-X"]).control().start();
    pen.ask("exit");
    assert!(pen.wait().success());
}
