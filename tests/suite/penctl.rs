//! The control client.

use crate::stand::{
    At, Backend, Dir, Host, Starter, better, finish, is_c_pen, program, skipped, wait_until,
};
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::process::Command;

/// Status, standard output, standard error.
fn penctl<S: AsRef<str>>(words: &[S]) -> (i32, String, String) {
    let mut command = Command::new(program("penctl"));
    command.args(words.iter().map(AsRef::as_ref));
    let output = finish(command);
    let text = |data: Vec<u8>| String::from_utf8(data).unwrap();
    let status = output.status.code().unwrap();
    (status, text(output.stdout), text(output.stderr))
}

#[test]
fn it_sends_its_words_and_shows_the_reply() {
    let pen = Starter::new().control().start();
    let control = pen.control();
    let address = control.to_string();
    let reply = pen.ask("mode");
    assert_eq!(penctl(&[address.as_str(), "mode"]), (0, reply, String::new()));
    // Quoted or not, it is one line.
    penctl(&[address.as_str(), "blacklist", "17"]);
    let reply = (0, "17\n".to_owned(), String::new());
    assert_eq!(penctl(&[address.as_str(), "blacklist"]), reply);
    assert_eq!(penctl(&[address.as_str(), "blacklist 17"]), reply);
}

#[test]
fn a_path_is_a_unix_socket() {
    let dir = Dir::new();
    let path = dir.file("ctl");
    let pen = Starter::new().control_at(At::Unix(path.clone())).start();
    let (status, stdout, _) = penctl(&[path.to_str().unwrap(), "pid"]);
    assert_eq!((status, stdout), (0, format!("{}\n", pen.pid())));
}

#[test]
fn without_a_command_it_says_how_it_is_called() {
    let usage = (0, "usage: penctl host:port command\n".to_owned(), String::new());
    assert_eq!(penctl::<&str>(&[]), usage);
    assert_eq!(penctl(&["127.0.0.1:1"]), usage);
}

#[test]
fn what_goes_wrong_is_said() {
    let nobody = Host::new().at().to_string();
    for (address, part) in [
        ("localhost", "no port given"),
        (nobody.as_str(), "connect"),
        ("/nonexistent/ctl", "connect"),
        ("127.0.0.1:99999", "99999"),
    ] {
        let (status, stdout, stderr) = penctl(&[address, "mode"]);
        assert_eq!((status, stdout.as_str()), (1, ""), "{address}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        if !is_c_pen() {
            assert!(stderr.contains(part) && stderr.contains(address), "{stderr}");
        }
    }
}

/// With -e or the variable; without, scripts of the C program's get 0.
#[test]
fn its_status_says_whether_a_command_was_refused() {
    better!(PENCTL_STATUS);
    let host = Host::new();
    let control = host.at();
    let _pen = Starter::on(&host).control_at(control.clone()).start();
    let address = control.to_string();
    let refused = "do_cmd: ignoring command starting with 'nonsense'\n";
    for (option, command, status, stdout) in [
        ("-e", "blacklist 17", 0, "17\n"),
        ("-e", "nonsense", 2, refused),
        ("", "nonsense", 0, refused),
    ] {
        let words = [option, address.as_str(), command];
        let words = &words[usize::from(option.is_empty())..];
        assert_eq!(penctl(words), (status, stdout.to_owned(), String::new()));
    }
    let mut command = Command::new(program("penctl"));
    command.args([address.as_str(), "nonsense"]).env("PENCTL_STATUS", "1");
    assert_eq!(finish(command).status.code(), Some(2));
    assert_eq!(penctl(&["-e", "localhost", "mode"]).0, 1);
}

#[test]
fn help_and_version() {
    better!(LONG_OPTIONS);
    let (status, help, _) = penctl(&["--help"]);
    assert_eq!(status, 0);
    for part in ["-e", "host]:port", "/path", "PENCTL_STATUS"] {
        assert!(help.contains(part), "{help}");
    }
    let version = format!("penctl {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(penctl(&["--version"]), (0, version, String::new()));
}

/// `top` is penctl's own. In a pipe it shows one table, with rates, and ends.
#[test]
fn top_shows_servers_with_rates() {
    better!(PENCTL_TOP);
    let host = Host::new();
    let dead = host.at();
    let starter = Starter::on(&host).letters(1).server(&dead).control().expect("server 1");
    let pen = starter.args(["-r", "-O", "check 1"]).start();
    wait_until("both are known", || {
        let list = pen.ask("servers");
        list.contains(" state up ") && list.contains(" state down ")
    });
    let address = pen.control().to_string();
    let (status, first, stderr) = penctl(&[address.as_str(), "top"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    let cells: Vec<Vec<&str>> =
        first.lines().map(|line| line.split_whitespace().collect()).collect();
    assert_eq!(cells.len(), 4, "{first}");
    assert_eq!(cells[0][..4], ["#", "server", "state", "since"]);
    let row = |n: usize| (cells[n + 1][0], cells[n + 1][1].to_owned(), cells[n + 1][2]);
    assert_eq!(row(0), ("0", pen.servers[0].at().to_string(), "up"));
    assert_eq!(row(1), ("1", dead.to_string(), "down"));
    assert_eq!(cells[1][6..], ["0", "0", "0"], "{first}");
    assert!(first.contains("Connection refused"), "{first}");
    assert_eq!(cells[3], ["1", "of", "2", "up", "0", "0", "0", "0"]);
    // Rates of what happens meanwhile; a width that cuts.
    let mut command = Command::new(program("penctl"));
    command.args([address.as_str(), "top 2"]).env("COLUMNS", "40");
    let child = std::thread::spawn(|| finish(command));
    while !child.is_finished() {
        assert_eq!(pen.letter(), "A");
    }
    let shown = String::from_utf8(child.join().unwrap().stdout).unwrap();
    assert_eq!(shown.lines().count(), 8, "{shown}");
    assert!(shown.lines().all(|line| line.len() <= 40), "{shown}");
    let mut command = Command::new(program("penctl"));
    command.args([address.as_str(), "top", "1"]);
    let child = std::thread::spawn(|| finish(command));
    while !child.is_finished() {
        assert_eq!(pen.letter(), "A");
    }
    let shown = String::from_utf8(child.join().unwrap().stdout).unwrap();
    let total: Vec<&str> = shown.lines().last().unwrap().split_whitespace().collect();
    assert!(total[5] != "0" && total[5] != "-", "{shown}");
    // Mistakes.
    let (status, _, stderr) = penctl(&[address.as_str(), "top", "many"]);
    assert_eq!((status, stderr.as_str()), (1, "penctl: top: bad number 'many'\n"));
    drop(pen);
    assert_eq!(penctl(&[address.as_str(), "top"]).0, 1);
}

/// On a terminal it goes on, and clears the screen before each table.
#[test]
fn top_refreshes_a_terminal() {
    better!(PENCTL_TOP);
    let pen = Starter::new().letters(1).control().start();
    let line = format!("{} {} top 2", program("penctl").display(), pen.control());
    let mut command = Command::new("script");
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    if command.output().is_err() {
        return skipped("script is not installed");
    }
    let shown = String::from_utf8(finish(command).stdout).unwrap();
    let tables: Vec<&str> = shown.split("\x1b[H\x1b[2J").collect();
    assert_eq!(tables.len(), 3, "{shown:?}");
    assert!(tables[1].contains(" -  ") && !tables[2].contains(" -  "), "{shown}");
    assert!(tables[2].contains(&pen.servers[0].at().to_string()), "{shown}");
}

/// Whatever answers may be hostile to a terminal; a script gets its bytes.
#[test]
fn a_terminal_gets_no_escape_sequences() {
    better!(ESCAPED);
    let host = Host::new();
    let sent = b"\x1b]0;gotcha\x07\xff\r\n";
    let hostile = Backend::start(host.at(), move |stream| {
        let mut out: &TcpStream = &stream;
        let _ = BufReader::new(&*stream).read_line(&mut String::new());
        let _ = out.write_all(sent);
    });
    let address = hostile.at.to_string();
    let mut command = Command::new(program("penctl"));
    command.args([&address, "mode"]);
    assert_eq!(finish(command).stdout, sent);
    let mut command = Command::new("script");
    let line = format!("{} {address} mode", program("penctl").display());
    command.args(["-q", "-e", "-c", &line, "/dev/null"]);
    if command.output().is_err() {
        return skipped("script is not installed");
    }
    let shown = finish(command).stdout;
    let shown = String::from_utf8_lossy(&shown);
    assert_eq!(shown.trim_end(), "\\x1b]0;gotcha\\x07\u{fffd}\\x0d");
}

/// A control port that resets in the middle of its reply.
#[test]
fn a_reply_cut_off_is_an_error() {
    let host = Host::new();
    let backend = Backend::start(host.at(), |stream| {
        // What the client sent is not read: closing resets.
        let mut out: &TcpStream = &stream;
        let _ = stream.peek(&mut [0]);
        let _ = out.write_all(b"half of it");
    });
    let (status, _, stderr) = penctl(&[backend.at.to_string().as_str(), "mode"]);
    assert_eq!(status, 1);
    assert!(!stderr.is_empty());
}
