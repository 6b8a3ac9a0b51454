//! The control client.

use crate::harness::{At, Backend, Dir, Place, Starter, finish, is_c_pen, program};
use std::io::Write;
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
    let place = Place::new();
    let control = place.at();
    let pen = Starter::new(&place).control(control.clone()).start();
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
    let place = Place::new();
    let dir = Dir::new();
    let path = dir.file("ctl");
    let pen = Starter::new(&place).control(At::Unix(path.clone())).start();
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
    let nobody = Place::new().at().to_string();
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

/// A control port that resets in the middle of its reply.
#[test]
fn a_reply_cut_off_is_an_error() {
    let place = Place::new();
    let backend = Backend::start(place.at(), |stream| {
        // What the client sent is not read: closing resets.
        let mut out: &TcpStream = &stream;
        let _ = stream.peek(&mut [0]);
        let _ = out.write_all(b"half of it");
    });
    let (status, _, stderr) = penctl(&[backend.at.to_string().as_str(), "mode"]);
    assert_eq!(status, 1);
    assert!(!stderr.is_empty());
}
