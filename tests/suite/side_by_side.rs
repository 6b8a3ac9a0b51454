//! What programs read, with traffic behind it, from both pens side by side.

use crate::stand::{Backend, Dir, Host, Starter, c_program, compared, wait_until};
use std::fs;

/// What both pens say after the same; their addresses are those of the first.
fn both(act: impl Fn(Starter, &Host, &Backend) -> String) -> Option<[String; 2]> {
    let theirs = c_program("pen")?;
    let (one, two, servers) = (Host::new(), Host::new(), Host::new());
    let server = Backend::letter(servers.at(), 'A');
    let ours = act(Starter::on(&one).ours(), &one, &server);
    let theirs = act(Starter::on(&two).program(theirs), &two, &server);
    let theirs = theirs.replace(&two.ip.to_string(), &one.ip.to_string());
    Some([ours, theirs])
}

/// With a client and a few bytes.
fn with_traffic(starter: Starter, _host: &Host, server: &Backend, line: &str) -> String {
    let dir = Dir::new();
    let page = dir.file("page.html");
    let pen = starter.path("-w", &page).server(&server.at).control().start();
    let client = pen.connect();
    client.send("hello\n");
    assert_eq!(client.receive(2), b"AA");
    wait_until("all is counted", || pen.server_list().ends_with(" sx 6 rx 2\n"));
    if line == "servers" { pen.server_list() } else { pen.ask(line) }
}

#[test]
fn servers() {
    if let Some([ours, theirs]) = both(|a, b, c| with_traffic(a, b, c, "servers")) {
        assert_eq!(ours, theirs);
        compared("", None);
    }
}

#[test]
fn recent() {
    if let Some([ours, theirs]) = both(|a, b, c| with_traffic(a, b, c, "recent")) {
        assert_eq!(ours, theirs);
        compared("", None);
    }
}

/// Which descriptors they have is their own affair.
fn without_descriptors(text: &str) -> String {
    let mut out = String::new();
    for line in text.lines() {
        match line.starts_with("downfd = ") {
            true => out += "downfd = N, upfd = N",
            false => out += line,
        }
        out.push('\n');
    }
    out
}

#[test]
fn connection() {
    if let Some([ours, theirs]) = both(|a, b, c| with_traffic(a, b, c, "connection 0")) {
        assert_eq!(without_descriptors(&ours), without_descriptors(&theirs));
        assert!(ours.contains("\nstate = 2\n"), "{ours}");
        compared("", None);
    }
}

/// The page's lines but for the time and the descriptors.
fn page_lines(page: &str) -> Vec<&str> {
    let cell = |line: &str| line.starts_with("<td>") && line.len() <= "<td>99</td>".len();
    let lines = page.lines();
    lines.filter(|line| !line.starts_with("Time ") && !cell(line)).collect()
}

#[test]
fn the_page() {
    if let Some([ours, theirs]) = both(|a, b, c| with_traffic(a, b, c, "status")) {
        assert_eq!(ours.lines().count(), theirs.lines().count());
        assert_eq!(page_lines(&ours), page_lines(&theirs));
        assert!(ours.contains("<td>127.0.0.1</td>"), "{ours}");
        compared("", None);
    }
}

/// Every line that the C program writes, and in its order; ours has more.
#[test]
fn a_written_file() {
    let written = both(|starter, _host, server| {
        let dir = Dir::new();
        let file = dir.file("pen.cfg");
        let pen = starter
            .args(["-X", "-r", "-b", "7", "-O", "acl 2 permit 10.1.0.0 255.255.0.0"])
            .operand(format!("{}:1:2", server.at))
            .control()
            .start();
        pen.ask(&format!("write {}", file.display()));
        let text = fs::read_to_string(&file).unwrap();
        text.replace(&file.display().to_string(), "FILE")
    });
    let Some([ours, theirs]) = written else { return };
    let mut lines = ours.lines();
    for line in theirs.lines() {
        let found = match line {
            // The time is that of the moment.
            line if line.starts_with("# Generated") => lines.next().map(|_| line),
            // On, for what is sent at once.
            "no tcp_nodelay" => lines.find(|ours| *ours == "tcp_nodelay"),
            line => lines.find(|ours| ours.starts_with(line)),
        };
        assert!(found.is_some(), "no {line} behind the one before, in {ours}");
    }
    compared("", None);
}
