//! The control client.

use crate::stand::{At, Backend, Dir, Host, Starter, better, finish, is_c_pen, program, skipped};
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
