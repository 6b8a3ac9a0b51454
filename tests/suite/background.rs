//! In the background: the start, the pid file, signals.

use crate::differences::{INT, LISTEN_PATH, OTHER_PID_FILE};
use crate::stand::{Dir, Host, Starter, better, is_c_pen, stale_socket, wait_until, worse};
use std::fs;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

/// Where a link of `/proc/PID` leads.
fn link(pid: u32, name: &str) -> String {
    let path = fs::read_link(format!("/proc/{pid}/{name}")).unwrap();
    path.display().to_string()
}

/// The session that a process is in: the fourth word behind its name.
fn session(pid: u32) -> u32 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let (_, rest) = stat.rsplit_once(')').unwrap();
    rest.split_whitespace().nth(3).unwrap().parse().unwrap()
}

#[test]
fn it_listens_when_the_parent_has_left() {
    better!(PARENT);
    let host = Host::new();
    for _ in 0..10 {
        let pen = Starter::on(&host).letters(1).background();
        // At the first attempt.
        assert_eq!(pen.connect().letter(), "A");
        drop(pen);
        assert!(!host.file("pid").exists());
    }
}

#[test]
fn it_leaves_terminal_and_session_but_not_the_directory() {
    let dir = Dir::new();
    // Relative paths keep working.
    let pen = Starter::new()
        .directory(dir.path())
        .args(["-p", "pen.pid", "-l", "pen.log"])
        .letters(1)
        .start_in_background(&dir.file("pen.pid"));
    assert_eq!(session(pen.pid), pen.pid);
    for fd in 0..=2 {
        assert_eq!(link(pen.pid, &format!("fd/{fd}")), "/dev/null");
    }
    let here = fs::canonicalize(dir.path()).unwrap();
    assert_eq!(Path::new(&link(pen.pid, "cwd")), here);
    let client = pen.connect();
    client.send("hello\n");
    assert_eq!(client.receive(2), b"AA");
    pen.has_logged(&dir.file("pen.log"), " hello");
    fs::rename(dir.file("pen.log"), dir.file("old.log")).unwrap();
    pen.signal("HUP");
    wait_until("the log is opened again", || dir.file("pen.log").exists());
}

#[test]
fn term_and_int_end_it_cleanly() {
    for signal in ["TERM", "INT"] {
        let starter = Starter::unix().letters(1);
        let host = starter.host.clone();
        let pen = starter.background();
        let client = pen.connect();
        assert_eq!(client.letter(), "A");
        pen.signal(signal);
        wait_until("pen ends", || {
            // The C pen sleeps on if the signal comes just before it does so.
            let _wakes = is_c_pen().then(|| pen.at.connect());
            !pen.is_running()
        });
        assert!(client.ends(), "{signal}");
        let stays = signal == "INT" && worse(&INT);
        assert_eq!(host.file("pid").exists(), stays, "{signal}");
        assert_eq!(pen.at.is_listening(), worse(&LISTEN_PATH), "{signal}");
    }
}

/// When a new pen has started before the old one ends.
#[test]
fn a_pid_file_of_another_pen_stays() {
    let host = Host::new();
    let pid_file = host.file("pid");
    let is_of = |pid: u32| fs::read_to_string(&pid_file).is_ok_and(|text| text == pid.to_string());
    let [old, new] = [(); 2].map(|()| {
        let pen = Starter::on(&host).file("-p", "pid").absent().start();
        wait_until("the pid file is written", || is_of(pen.pid()));
        pen
    });
    drop(old);
    if worse(&OTHER_PID_FILE) {
        assert!(!pid_file.exists());
        return;
    }
    assert!(is_of(new.pid()));
    drop(new);
    assert!(!pid_file.exists());
}

#[test]
fn exit_statuses_in_the_foreground() {
    for signal in ["TERM", "INT"] {
        if signal == "INT" && better(&INT) {
            return;
        }
        let mut pen = Starter::new().absent().start();
        pen.signal(signal);
        assert_eq!(pen.wait().code(), Some(0), "{signal}");
        assert!(!pen.at.is_listening());
    }
}

#[test]
fn other_signals_do_not_end_it() {
    let pen = Starter::new().letters(1).start();
    pen.signal("PIPE");
    // Nothing to open or to read again.
    pen.signal("HUP");
    pen.says("reloading on HUP");
    assert_eq!(pen.letter(), "A");
}

#[test]
fn signals_that_the_starter_ignored_work() {
    // As under nohup, or in the background of a script.
    let mut pen = Starter::new().under("trap '' HUP INT TERM").absent().start();
    pen.signal("HUP");
    pen.says("reloading on HUP");
    if worse(&INT) {
        // It has no way of its own to end on INT, so that it stays ignored.
        pen.signal("INT");
        pen.signal("TERM");
    } else {
        pen.signal("INT");
    }
    assert_eq!(pen.wait().code(), Some(0));
}

#[test]
fn a_stale_socket_is_replaced() {
    let starter = Starter::unix().letters(1);
    let path = starter.host.file("pen.sock");
    stale_socket(&path);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let pen = starter.start();
    wait_until("it is pen's socket", || pen.at.connect().is_ok());
    assert_eq!(pen.letter(), "A");
    let _host = pen.host.clone();
    drop(pen);
    assert_eq!(path.exists(), worse(&LISTEN_PATH));
}

#[test]
fn another_ones_socket_is_not_removed_at_the_end() {
    let host = Host::new();
    let [first, second] = [(); 2].map(|()| Starter::at(host.unix("pen.sock")).letters(1).start());
    drop(first);
    assert_eq!(second.letter(), "A");
}

#[test]
fn a_stale_pid_file_is_written_over() {
    let host = Host::new();
    let pid_file = host.dir.put("pid", "999999999999 of long ago\n");
    let pen = Starter::on(&host).file("-p", "pid").absent().start();
    assert_eq!(pen.text("pid"), pen.pid().to_string());
    drop(pen);
    assert!(!pid_file.exists());
}
