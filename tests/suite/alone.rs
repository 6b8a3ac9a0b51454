//! A static program where there is no other file: in a root directory of its
//! own, which is what a container without a system is.

use crate::stand::{Backend, Dir, Host, Starter, is_root, pen_program, skipped};
use std::fs;
use std::path::Path;
use std::process::Command;

/// A root directory with pen in it and nothing else. `None` where that cannot
/// be had, or is not enough for pen.
fn root() -> Option<Dir> {
    if !is_root() {
        skipped("only root may do this");
        return None;
    }
    let root = Dir::new();
    // By another process, as a program that this one has written cannot be
    // started while any other test starts something.
    let copied = Command::new("cp").args([&pen_program(), root.path()]).status();
    assert!(copied.unwrap().success());
    let output = Command::new("chroot")
        .args([root.path(), Path::new("/pen"), Path::new("--version")])
        .output()
        .unwrap();
    // chroot(1): 127 if the program is not there, or else what it needs.
    if output.status.code() == Some(127) {
        skipped("this pen is not a static program");
        return None;
    }
    assert!(output.stdout.starts_with(b"pen "), "{output:?}");
    Some(root)
}

#[test]
fn it_needs_no_file() {
    let Some(root) = root() else { return };
    fs::create_dir(root.file("run")).unwrap();
    let pen = Starter::new()
        .alone_in(root.path())
        .args(["-p", "/run/pid", "-l", "/run/log", "-u", "0"])
        .echo()
        .start();
    let pid = root.text("run/pid");
    assert_eq!(pid, pen.pid().to_string());
    let client = pen.connect();
    client.echoes("hello\n");
    drop((client, pen));
    let log = root.text("run/log");
    assert!(log.ends_with(" hello\n"), "{log}");
    assert!(!root.file("run/pid").exists());
}

#[test]
fn etc_hosts_is_enough_for_names() {
    let Some(root) = root() else { return };
    let host = Host::new();
    let hosts = format!("{0} front.example\n{0}\tback.example back\n", host.ip);
    fs::create_dir(root.file("etc")).unwrap();
    fs::write(root.file("etc/hosts"), hosts).unwrap();
    let (at, server) = (host.at(), Backend::letter(host.at(), 'A'));
    let pen = Starter::at(at.clone())
        .alone_in(root.path())
        .listen_word(format!("front.example:{}", at.inet().port()))
        .operand(format!("back:{}", server.at.inet().port()))
        .start();
    assert_eq!(pen.letter(), "A");
}
