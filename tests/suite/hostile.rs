//! A hostile user of this host: what he has put where pen writes its files.
//!
//! As root in directories that others can write to, links, second names, pipes
//! and files of others are refused or replaced; those that root has made are
//! used like ever. The others here are the test itself, where only the mode of
//! the directory counts, or the user nobody.

use crate::differences::{DEVICE, ESCAPED, UMASK};
use crate::stand::{
    At, Backend, Dir, Host, Pen, Starter, better, pen_program, refused, root, skipped, wait_until,
    worse,
};
use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;
use std::process::{Command, Stdio};

/// The number of the user nobody, on every Linux.
const NOBODY: u32 = 65534;

/// Runs a shell's command as nobody, in this directory.
fn nobody_does(dir: &Dir, command: &str) {
    let mut words = Command::new("setpriv");
    words.args(["--reuid=65534", "--regid=65534", "--clear-groups"]);
    words.args(["sh", "-c", command]).current_dir(dir.path());
    assert!(words.status().unwrap().success(), "{command}");
}

/// A directory like /tmp: everybody can write to it, and only the owner of a
/// file can take it away.
fn sticky() -> Dir {
    let dir = Dir::new();
    fs::set_permissions(dir.path(), Permissions::from_mode(0o1777)).unwrap();
    dir
}

/// A pen with a control port and a server, that writes its page there.
fn with_page(page: &Path) -> Starter {
    Starter::new().control().path("-w", page).absent()
}

fn is_page(path: &Path) -> bool {
    let text = fs::read_to_string(path).unwrap_or_default();
    fs::symlink_metadata(path).is_ok_and(|meta| meta.is_file()) && text.ends_with("</html>\n")
}

/// Has a line logged.
fn send(pen: &Pen, data: &str) {
    pen.connect().echoes(data);
}

#[test]
fn links_where_all_can_write_are_refused() {
    better!(PLANTED);
    let (host, all, own) = (Host::new(), Dir::new().open_to_all(), Dir::new());
    let victim = own.put("victim", "whole");
    let link = all.file("link");
    symlink(&victim, &link).unwrap();
    symlink(own.path(), all.file("way")).unwrap();
    let (listen, way) = (host.at().to_string(), all.file("way/victim"));
    for option in ["-l", "-p"] {
        for path in [&link, &way] {
            let words = [option, path.to_str().unwrap(), &listen, "127.0.0.1:9"];
            let name = path.to_str().unwrap();
            refused(&words, &[name, "is a link of user", "not followed"]);
        }
    }
    // The page and the configuration take the link's own name.
    let pen = with_page(&link).expect("way is a link of user").start();
    assert!(pen.ask("status").contains("Pen status page"));
    assert!(is_page(&link));
    symlink(&victim, all.file("cfg")).unwrap();
    assert_eq!(pen.ask(&format!("write {}", all.file("cfg").display())), "");
    assert!(all.text("cfg").starts_with('#'));
    // A running pen refuses the same, and goes on as before.
    for command in ["log", "write"] {
        let reply = pen.ask(&format!("{command} {}", way.display()));
        assert!(reply.contains("not followed"), "{reply}");
    }
    pen.ask(&format!("web_stats {}", way.display()));
    assert!(pen.ask("status").contains("Pen status page"));
    pen.says("way is a link of user");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
    assert_eq!(own.names(), ["victim"]);
}

#[test]
fn links_of_root_go_on() {
    for dir in [Dir::new(), sticky()] {
        let data = Dir::new();
        for name in ["log", "page", "pid"] {
            symlink(data.file(name), dir.file(name)).unwrap();
        }
        let pen = Starter::new()
            .path("-l", &dir.file("log"))
            .path("-w", &dir.file("page"))
            .path("-p", &dir.file("pid"))
            .echo()
            .start();
        let pid = data.text("pid");
        assert_eq!(pid, pen.pid().to_string());
        // Rotation: the file is moved away, the link stays.
        send(&pen, "before\n");
        fs::rename(data.file("log"), data.file("log.1")).unwrap();
        pen.signal("HUP");
        wait_until("the log is there again", || data.file("log").exists());
        send(&pen, "after\n");
        pen.signal("USR1");
        wait_until("the page is written", || is_page(&data.file("page")));
        drop(pen);
        let log = data.text("log");
        assert!(log.ends_with(" after\n"), "{log}");
        assert!(dir.file("log").is_symlink() && dir.file("page").is_symlink());
    }
}

#[test]
fn what_nobody_has_made_in_a_sticky_directory_is_not_used() {
    better!(PLANTED);
    root!();
    let (host, dir, own) = (Host::new(), sticky(), Dir::new());
    let victim = own.put("victim", "whole");
    nobody_does(&dir, &format!("ln -s {} link", victim.display()));
    nobody_does(&dir, "mkfifo pipe; echo 1 >file; chmod 666 file");
    let listen = host.at().to_string();
    for option in ["-l", "-p"] {
        for (name, why) in [
            ("link", "is a link of user 65534"),
            ("pipe", "No such device"), // nobody reads it: no reason to wait
            ("file", "it belongs to user 65534"),
        ] {
            let path = dir.file(name).display().to_string();
            refused(&[option, &path, &listen, "127.0.0.1:9"], &[&path, why]);
        }
    }
    assert_eq!(fs::read_to_string(&victim).unwrap(), "whole");
    assert_eq!(dir.text("file"), "1\n");
}

#[test]
fn second_names_are_refused() {
    better!(PLANTED);
    let (host, all) = (Host::new(), Dir::new().open_to_all());
    fs::write(all.file("victim"), "whole").unwrap();
    fs::hard_link(all.file("victim"), all.file("name")).unwrap();
    let (path, listen) = (all.file("name").display().to_string(), host.at());
    for option in ["-l", "-p"] {
        let words = [option, &path, &listen.to_string(), "127.0.0.1:9"];
        refused(&words, &[&path, "another name"]);
    }
    let pen = with_page(&all.file("name")).start();
    pen.ask("status");
    assert!(is_page(&all.file("name")));
    assert_eq!(all.text("victim"), "whole");
}

/// The page of root does not get the mode that somebody else has chosen.
#[test]
fn modes_of_others_are_not_kept() {
    better!(PLANTED);
    root!();
    let dir = sticky();
    nobody_does(&dir, "echo x >page; chmod 4777 page");
    let page = dir.file("page");
    let pen = with_page(&page).start();
    pen.ask("status");
    assert!(is_page(&page));
    let meta = fs::metadata(&page).unwrap();
    assert_eq!((meta.uid(), meta.mode() & 0o7022), (0, 0));
    // One's own is.
    fs::set_permissions(&page, Permissions::from_mode(0o604)).unwrap();
    pen.ask("status");
    assert_eq!(fs::metadata(&page).unwrap().mode() & 0o7777, 0o604);
}

/// A pipe that nobody reads stops neither commands nor signals.
#[test]
fn a_planted_pipe_holds_up_nothing() {
    better!(PLANTED);
    root!();
    for is_sticky in [true, false] {
        let dir = if is_sticky { sticky() } else { Dir::new() };
        let page = dir.file("page");
        match is_sticky {
            true => nobody_does(&dir, "mkfifo page"),
            false => drop(dir.pipe("page")),
        }
        let pen = with_page(&page).expect("cannot write the report: No such device").start();
        if is_sticky {
            assert!(pen.ask("status").contains("Pen status page"));
            assert!(is_page(&page), "it is replaced");
        }
        pen.signal("USR1");
        pen.signal("HUP");
        pen.says("reloading on HUP");
    }
}

/// Names and temporary names that somebody has taken before.
#[test]
fn temporary_names_cannot_be_taken() {
    let all = Dir::new().open_to_all();
    let page = all.file("page");
    let pen = with_page(&page).start();
    // What a process with this number may have left when it was killed.
    fs::write(all.file(&format!("page.{}.tmp", pen.pid())), "").unwrap();
    pen.ask("status");
    assert!(is_page(&page));
    assert_eq!(all.names().len(), 2, "{:?}", all.names());
}

/// Only its owner could exchange it.
#[test]
fn a_directory_of_nobody_in_a_sticky_one_is_not_used() {
    better!(PLANTED);
    root!();
    let (host, dir, own) = (Host::new(), sticky(), Dir::new());
    nobody_does(&dir, "mkdir way");
    let (page, listen) = (dir.file("way/page"), host.at().to_string());
    for option in ["-l", "-p"] {
        let path = dir.file("way/file").display().to_string();
        let words = [option, &path, &listen, "127.0.0.1:9"];
        refused(&words, &["way is a directory of user 65534", "not followed"]);
    }
    let pen = with_page(&page)
        .expect("way is a directory of user 65534")
        .expect("way is a link of user 65534")
        .start();
    assert!(pen.ask("status").contains("Pen status page"));
    nobody_does(&dir, &format!("rmdir way; ln -s {} way", own.path().display()));
    pen.ask("status");
    pen.says("way is a link of user 65534");
    assert!(own.names().is_empty());
}

/// At the end no other file is removed, to which the path leads then.
#[test]
fn another_pid_file_stays() {
    better!(PLANTED);
    let (host, all, own) = (Host::new(), Dir::new().open_to_all(), Dir::new());
    fs::create_dir(all.file("way")).unwrap();
    fs::write(own.file("pid"), "whole").unwrap();
    let pen = Starter::on(&host).path("-p", &all.file("way/pid")).absent().start();
    fs::rename(all.file("way"), all.file("away")).unwrap();
    symlink(own.path(), all.file("way")).unwrap();
    drop(pen);
    assert_eq!(own.text("pid"), "whole");
}

#[test]
fn a_device_is_no_pid_file_to_remove() {
    root!();
    let dir = Dir::new();
    let device = dir.file("null");
    let mut made = Command::new("mknod");
    made.arg(&device).args(["c", "1", "3"]);
    if !made.status().unwrap().success() {
        return skipped("no device can be made here");
    }
    let pen = Starter::new().path("-p", &device).absent().start();
    drop(pen);
    let stays = fs::metadata(&device).is_ok_and(|meta| meta.file_type().is_char_device());
    assert!(stays != worse(&DEVICE));
}

#[test]
fn files_are_nobody_elses_to_write_whatever_the_umask() {
    let dir = Dir::new();
    let pen = Starter::new()
        .under("umask 0")
        .path("-p", &dir.file("pid"))
        .path("-l", &dir.file("log"))
        .path("-w", &dir.file("page"))
        .control()
        .absent()
        .start();
    pen.ask(&format!("write {}", dir.file("cfg").display()));
    pen.ask("status");
    // Of all these only the log has in it what clients have sent.
    for (name, ours) in [("pid", 0o644), ("log", 0o640), ("cfg", 0o644), ("page", 0o644)] {
        let mode = if worse(&UMASK) { 0o666 } else { ours };
        let meta = fs::metadata(dir.file(name)).unwrap();
        assert_eq!(meta.mode() & 0o777, mode, "{name}");
    }
}

#[test]
fn the_mode_of_a_log_that_is_there_stays() {
    let dir = Dir::new();
    let log = dir.put("log", "");
    fs::set_permissions(&log, Permissions::from_mode(0o604)).unwrap();
    let pen = Starter::new().path("-l", &log).absent().start();
    pen.signal("HUP");
    pen.says("reloading on HUP");
    drop(pen);
    assert_eq!(fs::metadata(&log).unwrap().mode() & 0o777, 0o604);
}

/// A container's log.
#[test]
fn the_log_can_be_standard_output() {
    let dir = Dir::new();
    let out = dir.file("out");
    let limit: &'static str = Box::leak(format!("exec >{}", out.display()).into_boxed_str());
    let pen = Starter::new().under(limit).args(["-l", "/dev/stdout"]).echo().start();
    send(&pen, "hello\n");
    drop(pen);
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.ends_with(" hello\n"), "{text}");
}

/// Where the user of -u could put another file in its place, the socket is made
/// by that user; elsewhere root makes it and gives it away.
#[test]
fn a_control_socket_is_made_by_who_can_write_there() {
    better!(PLANTED);
    root!();
    let own = Dir::new();
    let (his, theirs) = (Dir::new(), Dir::new());
    std::os::unix::fs::chown(his.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    std::os::unix::fs::chown(theirs.path(), Some(NOBODY - 1), None).unwrap();
    for dir in [&own, &his, &sticky()] {
        let pen = Starter::new()
            .args(["-C", &dir.file("ctl").display().to_string()])
            .args(["-u", &NOBODY.to_string()])
            .absent()
            .start();
        let meta = fs::symlink_metadata(dir.file("ctl")).unwrap();
        assert!(meta.file_type().is_socket());
        assert_eq!((meta.uid(), meta.mode() & 0o777), (NOBODY, 0o600));
        assert_eq!(pen.status().number("Uid"), u64::from(NOBODY));
    }
    // Who has put a link there gets nothing.
    nobody_does(&his, "ln -s /etc/passwd link");
    let listen = Host::new().at().to_string();
    let nobody = NOBODY.to_string();
    for (path, why) in [
        (his.file("link"), "not a socket"),
        (theirs.file("ctl"), "Permission denied (os error 13) (as user 65534"),
    ] {
        let path = path.display().to_string();
        let words = ["-C", &path, "-u", &nobody, &listen, "127.0.0.1:9"];
        let mut command = Command::new(pen_program());
        let output = command.arg("-f").args(words).stdin(Stdio::null()).output();
        let output = output.unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{errors}");
        assert!(errors.contains(&path) && errors.contains(why), "{errors}");
    }
    assert_eq!(fs::metadata("/etc/passwd").unwrap().uid(), 0);
}

/// What is in a name does not reach a terminal, a page or a log.
#[test]
fn names_cannot_draw() {
    let dir = Dir::new();
    let path = dir.file("a\x1b[31m'b");
    let echo = Backend::echo(At::Unix(path.clone()));
    let log = dir.file("log");
    let pen = Starter::new().control().path("-l", &log).start();
    pen.ask(&format!("server 0 address {}", path.display()));
    let (servers, page) = (pen.ask("servers"), pen.ask("status"));
    if worse(&ESCAPED) {
        assert!(servers.contains('\x1b'), "{servers}");
        return;
    }
    assert!(servers.contains("/a\\x1b[31m'b port"), "{servers}");
    assert!(page.contains("/a\\x1b[31m&#39;b</td>"), "{page}");
    send(&pen, "hello\n");
    drop((pen, echo));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.ends_with("/a.[31m'b hello\n"), "{log}");
}

/// At the start it may be what is no file, such as a pipe; while pen runs, only
/// a file.
#[test]
fn a_configuration_without_an_end_is_refused() {
    better!(HOSTILE_FILES);
    let words = ["-F", "/dev/zero", "127.0.0.1:9", "127.0.0.1:9"];
    refused(&words, &["/dev/zero", "longer than 16777216 bytes"]);
    let pen = Starter::new().control().start();
    let reply = pen.ask("include /dev/zero");
    assert!(reply.contains("not a regular file"), "{reply}");
}
