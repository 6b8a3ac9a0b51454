//! Another user (`-u`) and another root (`-j`), which take root to change.

use crate::differences::{GROUPS, JAIL_DIRECTORY};
use crate::stand::{
    Backend, Background, Dir, Host, Starter, Status, better, pen_program, root, skipped,
    wait_until, worse,
};
use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

/// The user and group numbers of a name.
fn user(name: &str) -> Option<(u32, u32)> {
    let passwd = fs::read_to_string("/etc/passwd").ok()?;
    let entry = passwd.lines().find(|line| line.starts_with(&format!("{name}:")))?;
    let fields: Vec<_> = entry.split(':').collect();
    Some((fields[2].parse().ok()?, fields[3].parse().ok()?))
}

/// pen has to run as this user and group for good.
fn runs_as(pid: u32, uid: u32, gid: u32) {
    let status = Status::of(pid).unwrap();
    assert_eq!(status.words("Uid"), vec![uid.to_string(); 4]);
    assert_eq!(status.words("Gid"), vec![gid.to_string(); 4]);
    let groups = status.words("Groups");
    assert!(!groups.contains(&"0"), "{groups:?}");
    let has_own = groups.contains(&gid.to_string().as_str());
    assert!(has_own || worse(&GROUPS), "{groups:?}");
    // No way back either.
    assert_eq!(status.words("CapEff"), ["0000000000000000"]);
}

#[test]
fn it_becomes_the_user() {
    root!();
    let Some((uid, gid)) = user("nobody") else {
        return skipped("no user nobody here");
    };
    let dir = Dir::new().open_to_all();
    let (pid_file, log) = (dir.file("pen.pid"), dir.file("pen.log"));
    let starter = Starter::new().args(["-u", "nobody"]).path("-p", &pid_file).path("-l", &log);
    let pen = starter.echo().start_in_background(&pid_file);
    runs_as(pen.pid, uid, gid);
    // The files are that user's, who therefore can open them again on HUP.
    for file in [&pid_file, &log] {
        assert_eq!(fs::metadata(file).unwrap().uid(), uid);
    }
    pen.connect().echoes("hello");
    drop(pen);
    assert!(!pid_file.exists());
}

#[test]
fn a_user_can_be_a_number() {
    better!(NUMERIC_USER);
    root!();
    let number = 4_000_000 + std::process::id();
    let pen = Starter::new().args(["-u", &number.to_string()]).absent().start();
    runs_as(pen.pid(), number, number);
}

/// A program with root's setuid bit runs as root only with `--no-sandbox`.
#[test]
fn programs_gain_no_rights_from_pen() {
    better!(RIGHTS);
    root!();
    let Some((uid, _)) = user("nobody") else {
        return skipped("no user nobody here");
    };
    let may = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    let starter = || Starter::new().absent().control().expect("server 0 ");
    for (words, rights, runs_as) in [(&[][..], "1", uid), (&["--no-sandbox"][..], "0", 0)] {
        let dir = Dir::new().open_to_all();
        let (id, out) = (dir.file("id"), dir.file("out"));
        fs::copy("/usr/bin/id", &id).unwrap();
        may(&id, 0o4755);
        let script = format!("#!/bin/sh\n{} -u >>{}\n", id.display(), out.display());
        let program = dir.put("program", script);
        may(&program, 0o755);
        let change = format!("on_change {}", program.display());
        let pen = starter().args(["-u", "nobody", "-O", &change]).args(words).start();
        pen.ask("server 0 state drain");
        let wanted = format!("{runs_as}\n");
        wait_until("the program has run", || fs::read(&out).is_ok_and(|out| !out.is_empty()));
        assert_eq!(fs::read_to_string(&out).unwrap(), wanted, "{words:?}");
        for task in fs::read_dir(format!("/proc/{}/task", pen.pid())).unwrap() {
            let thread = task.unwrap().file_name().to_str().unwrap().parse().unwrap();
            let status = Status::of(thread).unwrap();
            assert_eq!(status.words("NoNewPrivs"), [rights], "{words:?}");
        }
    }
}

#[test]
fn it_runs_in_the_jail() {
    root!();
    let jail = Dir::new();
    let pid_file = jail.file("pen.pid");
    let pen = Starter::new()
        .path("-j", jail.path())
        .args(["-p", "/pen.pid", "-l", "/pen.log"])
        .echo()
        .start_in_background(&pid_file);
    let root = fs::read_link(format!("/proc/{}/root", pen.pid)).unwrap();
    assert_eq!(root, fs::canonicalize(jail.path()).unwrap());
    let here = fs::read_link(format!("/proc/{}/cwd", pen.pid)).unwrap();
    assert_eq!(here != root, worse(&JAIL_DIRECTORY));
    pen.connect().echoes("hello\n");
    pen.has_logged(&jail.file("pen.log"), " hello");
    drop(pen);
    assert!(!pid_file.exists());
}

#[test]
fn jail_and_user_together() {
    better!(NUMERIC_USER);
    root!();
    let jail = Dir::new().open_to_all();
    let number = 5_000_000 + std::process::id();
    let pid_file = jail.file("pen.pid");
    // The log and the pid file are opened inside and as that user.
    let pen = Starter::new()
        .path("-j", jail.path())
        .args(["-u", &number.to_string()])
        .args(["-p", "pen.pid", "-l", "pen.log"])
        .echo()
        .start_in_background(&pid_file);
    runs_as(pen.pid, number, number);
    let log = jail.file("pen.log");
    assert_eq!(fs::metadata(&log).unwrap().uid(), number);
    fs::rename(&log, jail.file("old.log")).unwrap();
    pen.signal("HUP");
    wait_until("the log is opened again inside", || log.exists());
    drop(pen);
    assert!(!pid_file.exists());
}

/// Its path is that of the jail, where HUP finds it again.
#[test]
fn a_configuration_can_be_in_the_jail() {
    better!(MISSING_FILE);
    root!();
    let jail = Dir::new();
    let name = format!("pen-{}.cfg", std::process::id());
    jail.put(&name, "roundrobin\n");
    let starter = Starter::new().path("-j", jail.path()).args(["-F", &format!("/{name}")]);
    let pen = starter.control().start();
    assert!(pen.ask("mode").starts_with("no hash roundrobin"));
    jail.put(&name, "hash\n");
    pen.signal("HUP");
    wait_until("it is read again", || pen.ask("mode").starts_with("hash "));
}

/// As in a chroot that a script has made.
#[test]
fn the_background_needs_no_dev_null() {
    root!();
    let host = Host::new();
    let server = Backend::letter(host.at(), 'A');
    let (at, pid_file, errors) = (host.at(), host.file("pid"), host.file("errors"));
    let script = "mount -t tmpfs none /dev || exit 77; exec \"$@\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, "sh"]).arg(pen_program());
    command.arg("-p").arg(&pid_file).args([at.to_string(), server.at.to_string()]);
    // A file, as the C program keeps these open.
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&errors).unwrap());
    let status = command.status().unwrap();
    if status.code() == Some(77) {
        return skipped("mount namespaces are not allowed");
    }
    assert!(status.success(), "{:?}", fs::read_to_string(&errors));
    let word = at.to_string();
    let pen = Background::known(at, &word, &pid_file);
    assert_eq!(pen.connect().letter(), "A");
}
