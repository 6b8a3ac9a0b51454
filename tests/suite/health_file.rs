//! The file that says whether pen can serve a client (`health_file`), as keepalived
//! reads it: 0 or -254.

use crate::stand::{Host, Starter, better, wait_until};
use std::fs;
use std::os::unix::fs::MetadataExt;

/// A pen with such a file, `health`.
fn telling(host: &Host) -> Starter {
    let line = format!("health_file {}", host.file("health").display());
    Starter::on(host).args(["-O", &line]).control()
}

/// Waits until the file says this.
fn says(host: &Host, text: &str) {
    wait_until(format!("the file says {}", text.trim()), || {
        fs::read_to_string(host.file("health")).is_ok_and(|found| found == text)
    });
}

#[test]
fn the_file_says_whether_a_server_is_up() {
    better!(HEALTH_FILE);
    let host = Host::new();
    let starter = telling(&host).args(["-O", "check 1"]).letters(2).expect("server ");
    let mut pen = starter.start();
    says(&host, "0\n");
    let first = pen.end_server(0);
    pen.says("server 0 (");
    says(&host, "0\n");
    let second = pen.end_server(0);
    says(&host, "-254\n");
    pen.start_server(second, 'B');
    says(&host, "0\n");
    pen.start_server(first, 'A');
}

#[test]
fn clients_that_find_no_server_change_it_as_well() {
    better!(HEALTH_FILE);
    let host = Host::new();
    let starter = telling(&host).letters(1).expect("server 0").expect("no server available");
    let mut pen = starter.start();
    says(&host, "0\n");
    let at = pen.end_server(0);
    assert_eq!(pen.letter(), "");
    says(&host, "-254\n");
    pen.start_server(at, 'A');
    assert_eq!(pen.letter(), "A");
    says(&host, "0\n");
}

#[test]
fn commands_change_it() {
    better!(HEALTH_FILE);
    let host = Host::new();
    let pen = telling(&host).letters(1).expect("server 0").start();
    says(&host, "0\n");
    for (line, text) in [
        ("server 0 state maint", "-254\n"),
        ("server 0 state ready", "0\n"),
        ("server 0 blacklist 3", "-254\n"),
        // Time alone changes it, too, three seconds later.
        ("pid", "0\n"),
        ("server 0 state maint", "-254\n"),
        ("dummy", "0\n"),
    ] {
        pen.ask(line);
        says(&host, text);
    }
}

/// Otherwise the address would go to another pen, and all connections would break.
#[test]
fn a_full_pen_is_well() {
    better!(HEALTH_FILE);
    let host = Host::new();
    let pen = telling(&host).letters_with([":1:1"]).web().start();
    says(&host, "0\n");
    let inode = || fs::metadata(host.file("health")).unwrap().ino();
    let before = inode();
    let _client = pen.connect_to("A");
    wait_until("pen is full", || pen.get("/healthz").body == "full\n");
    assert_eq!(pen.ask("blacklist 31"), "31\n");
    // What is written later has not been preceded by anything.
    assert_eq!(
        pen.ask(&format!("health_file {}", host.file("other").display())).lines().count(),
        1
    );
    wait_until("the other file is there", || host.file("other").exists());
    assert_eq!(host.dir.text("other"), "0\n");
    assert_eq!(inode(), before);
}

#[test]
fn at_the_end_nobody_is_served() {
    better!(HEALTH_FILE);
    let host = Host::new();
    let mut pen = telling(&host).letters(1).start();
    says(&host, "0\n");
    pen.signal("TERM");
    assert!(pen.wait().success());
    assert_eq!(host.dir.text("health"), "-254\n");
    assert_eq!(host.dir.names(), ["health"]);
}

#[test]
fn before_the_first_checks_nobody_is_served() {
    better!(HEALTH_FILE);
    let host = Host::new();
    // What a pen that was killed has left there.
    host.dir.put("health", "0\n");
    let pen = telling(&host).args(["-O", "check 1"]).absent().expect("server 0").start();
    says(&host, "-254\n");
    wait_until("the server is down", || pen.ask("servers").contains(" state down "));
    assert_eq!(host.dir.text("health"), "-254\n");
}

#[test]
fn a_file_that_cannot_be_written_is_named() {
    better!(HEALTH_FILE);
    let host = Host::new();
    let pen = Starter::on(&host)
        .args(["-O", "health_file /nonexistent/health"])
        .letters(1)
        .control()
        .expect("/nonexistent/health: cannot write the health file: No such file")
        .start();
    pen.says("/nonexistent/health: cannot write the health file: No such file");
    assert_eq!(pen.letter(), "A");
    assert_eq!(pen.ask("health_file"), "/nonexistent/health\n");
    let file = host.file("health").display().to_string();
    assert_eq!(pen.ask(&format!("health_file {file}")), format!("{file}\n"));
    says(&host, "0\n");
    assert!(pen.written().contains(&format!("\nhealth_file {file}\n")));
    assert_eq!(pen.ask("no health_file"), "");
    assert!(pen.written().contains("\nno health_file\n"));
}
