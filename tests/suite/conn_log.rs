//! The connection log: a line for each connection at its end.

use crate::stand::{Client, Pen, Starter, SystemLog, better, wait_until};
use std::cell::Cell;
use std::fs;
use std::io::{Read, Write};

/// A pen with a connection log.
fn logging() -> Starter {
    let starter = Starter::new();
    let line = format!("conn_log {}", starter.host.file("conn.log").display());
    starter.args(["-O", &line]).control()
}

/// The fields of the next line, waited for, without the time.
fn next(pen: &Pen, count: &Cell<usize>) -> Vec<String> {
    let mut line = String::new();
    wait_until("the line is there", || {
        let text = pen.text("conn.log");
        line = text.split_inclusive('\n').nth(count.get()).unwrap_or_default().to_owned();
        line.ends_with('\n')
    });
    count.set(count.get() + 1);
    let mut words = line.split_whitespace();
    let [date, time] = [words.next().unwrap(), words.next().unwrap()];
    assert!(date.len() == 10 && time.len() == 8, "{line}");
    words.map(str::to_owned).collect()
}

/// What the line says of a client.
fn client_word(client: &Client) -> String {
    client.0.local_addr().unwrap().to_string()
}

#[test]
fn a_line_says_who_where_how_much_how_long_and_how() {
    better!(CONN_LOG);
    let pen = logging().echo().start();
    let client = pen.connect();
    client.echoes([b'x'; 12_345]);
    let who = client_word(&client);
    drop(client);
    let words = next(&pen, &Cell::new(0));
    let at = pen.servers[0].at().to_string();
    assert_eq!(words[..4], [&who, &at, "12345", "12345"], "{words:?}");
    let seconds: f64 = words[4].parse().unwrap();
    assert!(words[4].split_once('.').unwrap().1.len() == 3 && seconds < 60.0, "{words:?}");
    assert_eq!(words[5..], ["client-closed"]);
}

/// Each way to end, made to happen.
#[test]
fn every_end_has_its_word() {
    better!(CONN_LOG);
    // What the server does is what the client asks for.
    let starter = logging().serve(|stream| {
        let mut letter = [0];
        (&*stream).write_all(b"A").unwrap();
        while let Ok(1) = stream.peek(&mut letter) {
            match letter[0] {
                b'c' => drop((&*stream).read(&mut letter)),
                b'r' => {}
                _ => continue,
            }
            return;
        }
    });
    let pen = starter.expect("drop: ").start();
    let server = pen.servers[0].at().inet();
    let count = Cell::new(0);
    let expect = |wanted: &str, does: &dyn Fn(Client)| {
        let client = pen.connect();
        let who = client_word(&client);
        does(client);
        let words = next(&pen, &count);
        assert_eq!([&words[0], words.last().unwrap()], [&who, wanted], "{words:?}");
    };
    let greeted = |client: &Client| assert_eq!(client.letter(), "A");
    expect("client-closed", &|client| greeted(&client));
    expect("server-closed", &|client| {
        client.send("c");
        assert_eq!(client.rest(), b"A");
    });
    expect("client-reset", &|client| assert_eq!(client.0.peek(&mut [0]).unwrap(), 1));
    expect("server-reset", &|client| {
        greeted(&client);
        client.send("r");
        assert!(client.ends());
    });
    expect("command", &|client| {
        greeted(&client);
        // Its slot, or the next one if the last connection still has that.
        let _ = ["close 0", "close 1"].map(|line| pen.ask(line));
        assert!(client.ends());
    });
    expect("idle", &|client| {
        greeted(&client);
        pen.ask("idle_timeout 1");
        assert!(client.ends());
        pen.ask("idle_timeout 0");
    });
    expect("half-closed", &|client| {
        greeted(&client);
        client.send("?");
        client.end_sending();
        pen.ask("half_closed_timeout 1");
        assert!(client.ends());
        pen.ask("half_closed_timeout 0");
    });
    for line in ["acl 1 deny 0.0.0.0/0", "client_acl 1"] {
        pen.ask(line);
    }
    expect("denied", &|client| assert!(client.ends()));
    pen.ask("client_acl 0");
    pen.ask("server 0 address 0");
    expect("no-server", &|client| assert!(client.ends()));
    pen.ask(&format!("server 0 address {}", server.ip()));
    let _client = pen.connect_to("A");
    pen.signal("TERM");
    assert_eq!(next(&pen, &count).last().unwrap(), "pen-ends");
    assert_eq!(pen.text("conn.log").lines().count(), count.get());
}

#[test]
fn it_can_be_rotated_switched_off_and_on() {
    better!(CONN_LOG);
    let pen = logging().letters(1).start();
    let log = pen.file("conn.log");
    // One connection, and the line about it, which is this one.
    let is_line = |number: usize| {
        assert_eq!(pen.letter(), "A");
        assert_eq!(next(&pen, &Cell::new(number)).len(), 6);
    };
    is_line(0);
    fs::rename(&log, log.with_extension("1")).unwrap();
    pen.signal("HUP");
    wait_until("it is opened again", || log.exists());
    is_line(0);
    let word = log.display().to_string();
    assert_eq!(pen.ask("conn_log"), format!("{word}\n"));
    assert_eq!([pen.ask("no conn_log"), pen.ask("conn_log")], ["", ""]);
    assert_eq!(pen.letter(), "A");
    wait_until("it is over", || pen.load(0) == 0);
    assert_eq!(pen.ask(&format!("conn_log {word}")), format!("{word}\n"));
    is_line(1);
    let bad = pen.ask("conn_log /nonexistent/log");
    assert!(bad.starts_with("/nonexistent/log: cannot open the log"), "{bad}");
    is_line(2);
}

#[test]
fn it_can_go_to_the_system_log() {
    better!(CONN_LOG);
    let Some(log) = SystemLog::new() else { return };
    let pen = log.start(Starter::new().args(["-O", "conn_log syslog"]).letters(1));
    assert_eq!(pen.connect().letter(), "A");
    let message = log.find(&format!(" {} 0 1 ", pen.servers[0].at()));
    // musl ends it with a newline.
    assert!(message.trim_end().ends_with(" client-closed"), "{message}");
}
