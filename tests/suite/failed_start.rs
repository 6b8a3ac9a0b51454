//! What cannot be had at the start: one line, status 1, nothing left behind.

use crate::differences::{FAILED_START, LISTEN_PATH};
use crate::stand::{
    At, Dir, Host, Starter, better, errors_when_left, finish, is_root, pen_program, refused, run,
    skipped, wait_until, worse,
};
use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::process::Command;

/// pen must refuse these words, and must not have kept `listen` or anything in
/// `dir`.
fn refused_cleanly(listen: &str, dir: &Dir, words: &[&str], parts: &[&str]) {
    let before = dir.names();
    refused(&[words, &[listen, "127.0.0.1:9"]].concat(), parts);
    assert_eq!(dir.names(), before, "{words:?}");
    if !listen.contains('/') {
        TcpListener::bind(listen).expect("the port is free again");
    }
}

#[test]
fn what_cannot_be_opened() {
    better!(FAILED_START);
    let (host, dir) = (Host::new(), Dir::new());
    let socket = dir.file("pen.sock").display().to_string();
    for listen in [host.at().to_string(), socket] {
        for (words, parts) in [
            (["-u", "no-such-user"], ["-u", "no-such-user"]),
            (["-j", "/nonexistent/jail"], ["-j", "/nonexistent/jail"]),
            (["-p", "/nonexistent/pid"], ["-p", "/nonexistent/pid"]),
            (["-p", "/dev"], ["-p", "/dev"]),
            (["-l", "/nonexistent/log"], ["log", "/nonexistent/log"]),
            (["-l", "/dev"], ["log", "/dev"]),
            (["-l", "bad..host:80"], ["host", "bad..host:80"]),
            (["-F", "/nonexistent/cfg"], ["read", "/nonexistent/cfg"]),
            (["-F", "/dev"], ["read", "/dev"]),
        ] {
            refused_cleanly(&listen, &dir, &words, &parts);
        }
    }
}

#[test]
fn a_busy_port() {
    better!(FAILED_START);
    let (host, dir) = (Host::new(), Dir::new());
    // A listener of std does not share its port.
    let busy = TcpListener::bind(host.addr()).unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let words = [address.as_str(), "127.0.0.1:9"];
    refused(&words, &[&address, "in use"]);
    // As root the control port is opened only together with -u.
    let control = ["-C", &address, "-u", "root"];
    let control = &control[..if is_root() { 4 } else { 2 }];
    let parts = ["-C", &address, "in use"];
    refused_cleanly(&host.at().to_string(), &dir, control, &parts);
}

#[test]
fn an_address_that_is_not_here() {
    better!(FAILED_START);
    // TEST-NET-3, nobody's address (RFC 5737).
    refused(&["203.0.113.1:9", "127.0.0.1:9"], &["203.0.113.1:9"]);
}

#[test]
fn too_few_descriptors_name_their_limit() {
    better!(FEW_FILES);
    let host = Host::new();
    let mut command = Command::new("sh");
    command.args(["-c", "ulimit -n 8; exec \"$@\"", "sh"]).arg(pen_program());
    command.args(["-f", &host.at().to_string(), "127.0.0.1:9"]);
    let output = finish(command);
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(stderr.contains("ulimit -n"), "{stderr}");
}

#[test]
fn a_low_port_without_the_right_names_the_ways_to_get_it() {
    better!(FAILED_START);
    let port = "/proc/sys/net/ipv4/ip_unprivileged_port_start";
    let port: u16 = fs::read_to_string(port).unwrap_or_default().trim().parse().unwrap_or(1024);
    if is_root() || port < 1024 {
        return skipped("whoever runs this may use low ports");
    }
    refused(&["127.0.0.1:1023", "127.0.0.1:9"], &["as root with -u", "CAP_NET_BIND_SERVICE"]);
}

#[test]
fn a_bad_line_in_the_configuration() {
    better!(BAD_LINE);
    let (host, dir) = (Host::new(), Dir::new());
    let config = dir.file("pen.cfg");
    let config = config.to_str().unwrap();
    let listen = host.at().to_string();
    for (line, word) in [
        ("nonsense", "nonsense"),
        ("server 0 address bad..host", "bad..host"),
        ("server 0 port x", "x"),
        ("acl 10 permit 1.2.3.4", "10"),
        ("include /nonexistent/more", "/nonexistent/more"),
    ] {
        fs::write(config, format!("roundrobin\n\n{line}\n")).unwrap();
        refused_cleanly(&listen, &dir, &["-F", config], &[config, "line 3", word]);
    }
}

#[test]
fn a_file_in_the_place_of_the_socket_stays() {
    let dir = Dir::new();
    let path = dir.put("precious", "data");
    if worse(&LISTEN_PATH) {
        let starter = Starter::at(At::Unix(path.clone()));
        let _pen = starter.operand("127.0.0.1:9").start();
        wait_until("it is removed", || {
            fs::metadata(&path).is_ok_and(|meta| meta.file_type().is_socket())
        });
        return;
    }
    let word = path.to_str().unwrap();
    refused(&[word, "127.0.0.1:9"], &[word, "not a socket"]);
    assert_eq!(fs::read_to_string(&path).unwrap(), "data");
    refused(&[dir.path().to_str().unwrap(), "127.0.0.1:9"], &["not a socket"]);
}

#[test]
fn the_reason_is_there_when_the_parent_leaves() {
    let (host, dir) = (Host::new(), Dir::new());
    let listen = host.at().to_string();
    let words = ["-l", "/nonexistent/log", &listen, "127.0.0.1:9"];
    if worse(&FAILED_START) {
        let (status, _, stderr) = run(words);
        assert_eq!((status, stderr.contains("nonexistent")), (0, false));
        return;
    }
    for round in 0..40 {
        let errors = dir.file("errors");
        let text = errors_when_left(&words, &errors);
        assert_eq!(text.lines().count(), 1, "round {round}: {text:?}");
    }
}
