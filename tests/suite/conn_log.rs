//! The connection log: a line for each connection at its end.

use crate::stand::{
    Backend, Client, Dir, Host, PATIENCE, Pen, Starter, better, is_root, letters, skipped,
    wait_until,
};
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

/// Pen with a connection log, and that.
struct Stand {
    host: Host,
    log: PathBuf,
    _dir: Dir,
}

impl Stand {
    fn new() -> Stand {
        let dir = Dir::new();
        Stand { host: Host::new(), log: dir.file("conn.log"), _dir: dir }
    }

    fn starter(&self) -> Starter {
        let line = format!("conn_log {}", self.log.display());
        Starter::new(&self.host).args(["-O", &line]).control(self.host.at())
    }

    /// The fields of the next line, waited for, without the time.
    fn next(&self, count: &mut usize) -> Vec<String> {
        let mut line = String::new();
        wait_until("the line is there", || {
            let text = fs::read_to_string(&self.log).unwrap_or_default();
            let found = text.split_inclusive('\n').nth(*count).unwrap_or_default();
            line = found.to_owned();
            line.ends_with('\n')
        });
        *count += 1;
        let mut words = line.split_whitespace();
        let [date, time] = [words.next().unwrap(), words.next().unwrap()];
        assert!(date.len() == 10 && time.len() == 8, "{line}");
        words.map(str::to_owned).collect()
    }
}

/// Whom pen has connected a client to: its port, and what the line must say.
fn client_word(client: &Client) -> String {
    client.0.local_addr().unwrap().to_string()
}

#[test]
fn a_line_says_who_where_how_much_how_long_and_how() {
    better!(CONN_LOG);
    let stand = Stand::new();
    let server = Backend::echo(stand.host.at());
    let pen = stand.starter().server(&server.at).start();
    let client = pen.connect();
    client.send([b'x'; 12_345]);
    assert_eq!(client.receive(12_345).len(), 12_345);
    let who = client_word(&client);
    drop(client);
    let words = stand.next(&mut 0);
    let at = server.at.to_string();
    assert_eq!(words[..4], [&who, &at, "12345", "12345"], "{words:?}");
    let seconds: f64 = words[4].parse().unwrap();
    assert!(words[4].split_once('.').unwrap().1.len() == 3 && seconds < 60.0, "{words:?}");
    assert_eq!(words[5..], ["client-closed"]);
}

/// Each way to end, made to happen.
#[test]
fn every_end_has_its_word() {
    better!(CONN_LOG);
    let stand = Stand::new();
    // What the server does is what the client asks for.
    let server = Backend::start(stand.host.at(), |stream| {
        let mut letter = [0];
        (&*stream).write_all(b"A").unwrap();
        while let Ok(1) = stream.peek(&mut letter) {
            match letter[0] {
                b'c' => drop(std::io::Read::read(&mut &*stream, &mut letter)),
                b'r' => {}
                _ => continue,
            }
            return;
        }
    });
    let pen = stand.starter().server(&server.at).expect("drop: ").start();
    let mut count = 0;
    let mut expect = |wanted: &str, does: &dyn Fn(Client)| {
        let client = pen.connect();
        let who = client_word(&client);
        does(client);
        let words = stand.next(&mut count);
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
    pen.ask(&format!("server 0 address {}", server.at.inet().ip()));
    let client = pen.connect();
    greeted(&client);
    drop(pen);
    let words = stand.next(&mut count);
    assert_eq!(words.last().unwrap(), "pen-ends");
    drop(client);
    assert_eq!(fs::read_to_string(&stand.log).unwrap().lines().count(), count);
}

/// One connection, and the line about it.
fn log_one(stand: &Stand, pen: &Pen, count: &mut usize) {
    assert_eq!(pen.letter(), "A");
    assert_eq!(stand.next(count).len(), 6);
}

#[test]
fn it_can_be_rotated_switched_off_and_on() {
    better!(CONN_LOG);
    let stand = Stand::new();
    let server = Backend::letter(stand.host.at(), 'A');
    let pen = stand.starter().server(&server.at).expect("reloading on HUP").start();
    log_one(&stand, &pen, &mut 0);
    fs::rename(&stand.log, stand.log.with_extension("1")).unwrap();
    pen.signal("HUP");
    wait_until("it is opened again", || stand.log.exists());
    log_one(&stand, &pen, &mut 0);
    let word = stand.log.display().to_string();
    assert_eq!(pen.ask("conn_log"), format!("{word}\n"));
    assert_eq!(pen.ask("no conn_log"), "");
    assert_eq!(pen.ask("conn_log"), "");
    assert_eq!(pen.letter(), "A");
    wait_until("it is over", || pen.load(0) == 0);
    assert_eq!(pen.ask(&format!("conn_log {word}")), format!("{word}\n"));
    log_one(&stand, &pen, &mut 1);
    let bad = pen.ask("conn_log /nonexistent/log");
    assert!(bad.starts_with("/nonexistent/log: cannot open the log"), "{bad}");
    log_one(&stand, &pen, &mut 2);
}

#[test]
fn it_can_go_to_the_system_log() {
    better!(CONN_LOG);
    if !is_root() {
        return skipped("only root can have a /dev/log of its own");
    }
    let (host, jail) = (Host::new(), Dir::new());
    let servers = letters(&host, 1);
    fs::create_dir(jail.file("dev")).unwrap();
    let log = UnixDatagram::bind(jail.file("dev/log")).unwrap();
    log.set_read_timeout(Some(PATIENCE)).unwrap();
    let args = ["-j", jail.path().to_str().unwrap(), "-O", "conn_log syslog"];
    let pen = Starter::new(&host).args(args).servers(&servers).start();
    assert_eq!(pen.letter(), "A");
    let mut buffer = [0; 2000];
    let count = log.recv(&mut buffer).unwrap();
    let message = String::from_utf8_lossy(&buffer[..count]);
    // musl ends it with a newline.
    let message = message.trim_end();
    let server = servers[0].at.to_string();
    assert!(message.contains(&format!(" {server} 0 1 ")), "{message}");
    assert!(message.ends_with(" client-closed"), "{message}");
}
