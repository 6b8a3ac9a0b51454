//! In the background: the start, the pid file, signals.

use crate::differences::{INT, LISTEN_PATH, OTHER_PID_FILE};
use crate::stand::{
    At, Client, Dir, Host, Starter, better, is_c_pen, letters, stale_socket, wait_until, worse,
};
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
    let (host, dir) = (Host::new(), Dir::new());
    let servers = letters(&host, 1);
    for _ in 0..10 {
        let pid_file = dir.file("pen.pid");
        let pen = Starter::new(&host)
            .args(["-p", pid_file.to_str().unwrap()])
            .servers(&servers)
            .start_in_background(&pid_file);
        // At the first attempt.
        assert_eq!(Client::new(&pen.at).letter(), "A");
        drop(pen);
        assert!(!pid_file.exists());
    }
}

#[test]
fn it_leaves_terminal_and_session_but_not_the_directory() {
    let (host, dir) = (Host::new(), Dir::new());
    let servers = letters(&host, 1);
    // Relative paths keep working.
    let pen = Starter::new(&host)
        .directory(dir.path())
        .args(["-p", "pen.pid", "-l", "pen.log"])
        .servers(&servers)
        .start_in_background(&dir.file("pen.pid"));
    assert_eq!(session(pen.pid), pen.pid);
    for fd in 0..=2 {
        assert_eq!(link(pen.pid, &format!("fd/{fd}")), "/dev/null");
    }
    let here = fs::canonicalize(dir.path()).unwrap();
    assert_eq!(Path::new(&link(pen.pid, "cwd")), here);
    let client = Client::new(&pen.at);
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
        let (host, dir) = (Host::new(), Dir::new());
        let servers = letters(&host, 1);
        let (pid_file, socket) = (dir.file("pen.pid"), dir.file("pen.sock"));
        let pen = Starter::at(At::Unix(socket.clone()))
            .args(["-p", pid_file.to_str().unwrap()])
            .servers(&servers)
            .start_in_background(&pid_file);
        let client = Client::new(&pen.at);
        assert_eq!(client.letter(), "A");
        pen.signal(signal);
        wait_until("pen ends", || {
            // The C pen sleeps on if the signal comes just before it does so.
            let _wakes = is_c_pen().then(|| pen.at.connect());
            !pen.is_running()
        });
        assert!(client.ends(), "{signal}");
        let stays = signal == "INT" && worse(&INT);
        assert_eq!(pid_file.exists(), stays, "{signal}");
        assert_eq!(socket.exists(), worse(&LISTEN_PATH), "{signal}");
    }
}

/// When a new pen has started before the old one ends.
#[test]
fn a_pid_file_of_another_pen_stays() {
    let (host, dir) = (Host::new(), Dir::new());
    let pid_file = dir.file("pen.pid");
    let start = || {
        let starter = Starter::new(&host).args(["-p", pid_file.to_str().unwrap()]);
        starter.server(&host.at()).start()
    };
    let old = start();
    let is_of = |pid: u32| fs::read_to_string(&pid_file).is_ok_and(|text| text == pid.to_string());
    wait_until("the pid file is written", || is_of(old.pid()));
    let new = start();
    wait_until("the other pid file is written", || is_of(new.pid()));
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
    let host = Host::new();
    for signal in ["TERM", "INT"] {
        if signal == "INT" && better(&INT) {
            return;
        }
        let mut pen = Starter::new(&host).server(&host.at()).start();
        pen.signal(signal);
        assert_eq!(pen.wait().code(), Some(0), "{signal}");
        assert!(!pen.at.is_listening());
    }
}

#[test]
fn other_signals_do_not_end_it() {
    let host = Host::new();
    let servers = letters(&host, 1);
    let pen = Starter::new(&host).servers(&servers).expect("reloading on HUP").start();
    pen.signal("PIPE");
    // Nothing to open or to read again.
    pen.signal("HUP");
    pen.says("reloading on HUP");
    assert_eq!(pen.letter(), "A");
}

#[test]
fn signals_that_the_starter_ignored_work() {
    let host = Host::new();
    // As under nohup, or in the background of a script.
    let mut pen = Starter::new(&host)
        .under("trap '' HUP INT TERM")
        .server(&host.at())
        .expect("reloading on HUP")
        .start();
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
    let (host, dir) = (Host::new(), Dir::new());
    let servers = letters(&host, 1);
    let path = dir.file("pen.sock");
    stale_socket(&path);
    assert!(fs::metadata(&path).unwrap().file_type().is_socket());
    let pen = Starter::at(At::Unix(path.clone())).servers(&servers).start();
    wait_until("it is pen's socket", || pen.at.connect().is_ok());
    assert_eq!(pen.letter(), "A");
    drop(pen);
    assert_eq!(path.exists(), worse(&LISTEN_PATH));
}

#[test]
fn another_ones_socket_is_not_removed_at_the_end() {
    let (host, dir) = (Host::new(), Dir::new());
    let servers = letters(&host, 1);
    let path = dir.file("pen.sock");
    let first = Starter::at(At::Unix(path.clone())).servers(&servers).start();
    let second = Starter::at(At::Unix(path)).servers(&servers).start();
    drop(first);
    assert_eq!(second.letter(), "A");
}

#[test]
fn a_stale_pid_file_is_written_over() {
    let (host, dir) = (Host::new(), Dir::new());
    let pid_file = dir.file("pen.pid");
    fs::write(&pid_file, "999999999999 of long ago\n").unwrap();
    let pen =
        Starter::new(&host).args(["-p", pid_file.to_str().unwrap()]).server(&host.at()).start();
    let text = fs::read_to_string(&pid_file).unwrap();
    assert_eq!(text, pen.pid().to_string());
    drop(pen);
    assert!(!pid_file.exists());
}
