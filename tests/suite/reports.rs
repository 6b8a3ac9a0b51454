//! What `servers`, `recent`, `status`, `-w` and USR1 show.

use crate::differences::{ESCAPED, STATUS, USR1};
use crate::stand::{Caller, Starter, wait_until, worse};
use std::fs;

/// The value behind a name in a line of names and values.
fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let mut words = line.split(' ').skip_while(|word| *word != name);
    words.nth(1).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Live connections count as they move, ended ones to the byte.
#[test]
fn bytes_are_counted_on_both_sides() {
    let pen = Starter::new().echo().control().start();
    let client = pen.connect();
    client.echoes([7; 12_345]);
    let is_counted = || {
        let servers = pen.ask("servers");
        let line = servers.lines().next().unwrap();
        (value(line, "sx"), value(line, "rx")) == ("12345", "12345")
            && pen.ask("recent") == "127.0.0.1 connects 1 sx 12345 rx 12345\n"
    };
    // The client may have it a moment before it is counted.
    wait_until("all is counted", is_counted);
    client.end_sending();
    assert!(client.ends());
    wait_until("it is gone", || pen.load(0) == 0);
    assert!(is_counted());
}

#[test]
fn recent_knows_who_came_when() {
    let pen = Starter::new().letters(1).control().start();
    let (one, two) = (Caller::new(21, &pen), Caller::new(22, &pen));
    assert_eq!([one.letter(), two.letter(), one.letter()], ["A"; 3]);
    let recent = pen.ask("recent");
    let of = |ip: &str| recent.lines().find(|line| line.starts_with(ip)).unwrap();
    assert_eq!(value(of("127.0.0.21 "), "connects"), "2");
    assert_eq!(value(of("127.0.0.22 "), "connects"), "1");
    wait_until("nobody is recent", || pen.ask("recent 0").is_empty());
}

#[test]
fn usr1_says_who_is_there() {
    let pen = Starter::new()
        .letters(1)
        .control()
        .expect(" addr 127.")
        .expect("client 0 127.0.0.1 ")
        .expect("connection 0 downfd ")
        .expect("clients accepted 1 denied 0 ")
        .expect("ends client-closed 0 server-closed 0 ")
        .start();
    let _client = pen.connect_to("A");
    pen.signal("USR1");
    if worse(&USR1) {
        wait_until("it is said", || pen.has_said("client 0, server 0"));
        assert!(!pen.has_said("127.0.0.1"), "{:?}", pen.messages());
        return;
    }
    for text in ["0 addr 127.", "client 0 127.0.0.1 ", "connection 0 "] {
        pen.says(text);
    }
}

#[test]
fn usr1_writes_the_page() {
    let pen = Starter::new().letters(1).file("-w", "page.html").control().start();
    let _client = pen.connect_to("A");
    pen.signal("USR1");
    wait_until("the page is written", || pen.text("page.html").ends_with("</html>\n"));
    assert!(pen.text("page.html").contains("<title>Pen status page</title>"));
    // `status` writes it too.
    fs::remove_file(pen.file("page.html")).unwrap();
    assert!(pen.ask("status").contains("<td>127.0.0.1</td>"));
    assert!(pen.file("page.html").exists());
}

#[test]
fn addresses_are_escaped_in_the_page() {
    let pen = Starter::new().file("-w", "page.html").control().start();
    pen.ask("server 0 address /tmp/<b>&");
    let page = pen.ask("status");
    let shown = if worse(&ESCAPED) { "/tmp/<b>&" } else { "/tmp/&lt;b&gt;&amp;" };
    assert!(page.contains(&format!("<td>{shown}</td>")), "{page}");
}

#[test]
fn a_socket_belongs_to_its_connection() {
    let pen = Starter::new().letters(1).control().start();
    let _client = pen.connect_to("A");
    let shown = pen.ask("connection 0");
    let line = shown.lines().nth(2).unwrap();
    let fd = line.strip_prefix("downfd = ").unwrap().split(',').next().unwrap();
    let reply = pen.ask(&format!("socket {fd}"));
    assert_eq!(reply, format!("Socket {fd} belongs to connection 0\n"));
}

#[test]
fn status_needs_no_file() {
    let page = Starter::new().control().start().ask("status");
    if worse(&STATUS) {
        assert_eq!(page, "Unable to create webstats\n");
        return;
    }
    assert!(page.contains("<title>Pen status page</title>"), "{page}");
}
