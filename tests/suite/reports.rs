//! What `servers`, `recent`, `status`, `-w` and USR1 show.

use crate::differences::{ESCAPED, STATUS, USR1};
use crate::stand::{Backend, Caller, Dir, Host, Starter, wait_until, worse};
use std::fs;

/// The value behind a name in a line of names and values.
fn value<'a>(line: &'a str, name: &str) -> &'a str {
    let mut words = line.split(' ').skip_while(|word| *word != name);
    words.nth(1).unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Live connections count as they move, ended ones to the byte.
#[test]
fn bytes_are_counted_on_both_sides() {
    let host = Host::new();
    let backend = Backend::echo(host.at());
    let pen = Starter::new(&host).servers([&backend]).control(host.at()).start();
    let client = pen.connect();
    let data = [7; 12_345];
    client.send(data);
    client.receive(data.len());
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
    wait_until("it is gone", || pen.ask("servers").contains(" conn 0 "));
    assert!(is_counted());
}

#[test]
fn recent_knows_who_came_when() {
    let host = Host::new();
    let backend = Backend::letter(host.at(), 'A');
    let pen = Starter::new(&host).servers([&backend]).control(host.at()).start();
    let (one, two) = (Caller::new(&host, 21, &pen), Caller::new(&host, 22, &pen));
    assert_eq!([one.letter(), two.letter(), one.letter()], ["A"; 3]);
    let recent = pen.ask("recent");
    let of = |ip: &str| recent.lines().find(|line| line.starts_with(ip)).unwrap();
    assert_eq!(value(of("127.0.0.21 "), "connects"), "2");
    assert_eq!(value(of("127.0.0.22 "), "connects"), "1");
    wait_until("nobody is recent", || pen.ask("recent 0").is_empty());
}

#[test]
fn usr1_says_who_is_there() {
    let host = Host::new();
    let backend = Backend::letter(host.at(), 'A');
    let pen = Starter::new(&host)
        .servers([&backend])
        .control(host.at())
        .expect(" addr 127.")
        .expect("client 0 127.0.0.1 ")
        .expect("connection 0 downfd ")
        .expect("clients accepted 1 denied 0 ")
        .expect("ends client-closed 0 server-closed 0 ")
        .start();
    let client = pen.connect();
    assert_eq!(client.letter(), "A");
    pen.signal("USR1");
    let has_said = |text: &str| pen.messages().iter().any(|line| line.contains(text));
    if worse(&USR1) {
        wait_until("it is said", || has_said("client 0, server 0"));
        assert!(!has_said("127.0.0.1"), "{:?}", pen.messages());
        return;
    }
    wait_until("servers, clients and connections are said", || {
        has_said("0 addr 127.") && has_said("client 0 127.0.0.1 ") && has_said("connection 0 ")
    });
}

#[test]
fn usr1_writes_the_page() {
    let host = Host::new();
    let backend = Backend::letter(host.at(), 'A');
    let dir = Dir::new();
    let page = dir.file("page.html");
    let pen = Starter::new(&host)
        .servers([&backend])
        .args(["-w", page.to_str().unwrap()])
        .control(host.at())
        .start();
    let client = pen.connect();
    assert_eq!(client.letter(), "A");
    pen.signal("USR1");
    let mut text = String::new();
    wait_until("the page is written", || {
        text = fs::read_to_string(&page).unwrap_or_default();
        text.ends_with("</html>\n")
    });
    assert!(text.contains("<title>Pen status page</title>"));
    // `status` writes it too.
    fs::remove_file(&page).unwrap();
    assert!(pen.ask("status").contains("<td>127.0.0.1</td>"));
    assert!(page.exists());
}

#[test]
fn addresses_are_escaped_in_the_page() {
    let (host, dir) = (Host::new(), Dir::new());
    let page = dir.file("page.html");
    let pen = Starter::new(&host).args(["-w", page.to_str().unwrap()]).control(host.at()).start();
    pen.ask("server 0 address /tmp/<b>&");
    let page = pen.ask("status");
    let shown = if worse(&ESCAPED) { "/tmp/<b>&" } else { "/tmp/&lt;b&gt;&amp;" };
    assert!(page.contains(&format!("<td>{shown}</td>")), "{page}");
}

#[test]
fn a_socket_belongs_to_its_connection() {
    let host = Host::new();
    let backend = Backend::letter(host.at(), 'A');
    let pen = Starter::new(&host).servers([&backend]).control(host.at()).start();
    let client = pen.connect();
    assert_eq!(client.letter(), "A");
    let shown = pen.ask("connection 0");
    let line = shown.lines().nth(2).unwrap();
    let fd = line.strip_prefix("downfd = ").unwrap().split(',').next().unwrap();
    let reply = pen.ask(&format!("socket {fd}"));
    assert_eq!(reply, format!("Socket {fd} belongs to connection 0\n"));
}

#[test]
fn status_needs_no_file() {
    let host = Host::new();
    let pen = Starter::new(&host).control(host.at()).start();
    let page = pen.ask("status");
    if worse(&STATUS) {
        assert_eq!(page, "Unable to create webstats\n");
        return;
    }
    assert!(page.contains("<title>Pen status page</title>"), "{page}");
}
