//! Control from the web: who may, and who may not.

use crate::stand::{Dir, Host, Pen, Starter, ask_web, better, curl, get, root, wait_until};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

const USER: &str = "admin:open sesame";
/// The same in base64, for requests by hand.
const BASIC: &str = "Basic YWRtaW46b3BlbiBzZXNhbWU=";

/// A pen that can be controlled from the web.
struct Stand {
    pen: Pen,
    file: PathBuf,
}

fn password_file(dir: &Dir) -> PathBuf {
    let file = dir.put("password", format!("{USER}\n"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    file
}

impl Stand {
    fn new(starter: Starter) -> Stand {
        let file = password_file(&starter.host.dir);
        let starter = starter.args(["-O", &format!("web_password {}", file.display())]);
        Stand { pen: starter.web().expect(": web: ").start(), file }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.pen.web())
    }

    /// What a page is told to show with its actions.
    fn token(&self) -> String {
        let status = curl(&["-u", USER, &self.url("/status.json")]);
        assert_eq!(status.member("\"control\":", "possible"), "true");
        status.member("\"control\":", "token").to_owned()
    }

    /// What an action that is right but for these fields is answered.
    fn action(&self, changes: &[(&str, &str)], command: &str) -> u16 {
        let (token, host) = (self.token(), self.pen.web().to_string());
        let origin = format!("http://{host}");
        let mut fields = vec![
            ("Host", host.as_str()),
            ("Origin", &origin),
            ("Authorization", BASIC),
            ("X-Pen-Token", &token),
        ];
        for (name, value) in changes {
            fields.retain(|field| field.0 != *name);
            if !value.is_empty() {
                fields.push((name, value));
            }
        }
        let fields: String = fields.iter().map(|(n, v)| format!("{n}: {v}\r\n")).collect();
        let length = command.len();
        let head = format!("POST /control HTTP/1.1\r\n{fields}Content-Length: {length}\r\n\r\n");
        ask_web(self.pen.web(), format!("{head}{command}")).status
    }
}

#[test]
fn an_action_works_with_the_password() {
    better!(WEB);
    let stand = Stand::new(Starter::new().letters(1));
    let token = format!("X-Pen-Token: {}", stand.token());
    let url = stand.url("/control");
    let act = |command: &str| curl(&["-u", USER, "-H", &token, "--data-binary", command, &url]);
    let answer = act("server 0 max 7\n");
    assert_eq!((answer.status, answer.body.as_str()), (200, ""));
    assert!(stand.pen.ask("servers").contains(" max 7 "));
    stand.pen.says("127.0.0.1: web: admin: server 0 max 7");
    // It is shown at once.
    let status = curl(&["-u", USER, &stand.url("/status.json")]);
    assert_eq!(status.member("\"servers\":", "max"), "7");
    assert_eq!(status.member("\"control\":", "user"), "admin");
    let answer = act("mode");
    assert_eq!(answer.body, stand.pen.ask("mode"));
    // A connection is closed, by its number.
    let client = stand.pen.connect();
    assert_eq!(client.letter(), "A");
    assert_eq!(act("close 0").body, "Forcibly closing connection 0\n");
    assert!(client.ends());
    let config = curl(&["-u", USER, &stand.url("/config")]);
    assert_eq!(config.status, 200);
    for line in [" max 7 ", &format!("\nweb {}\n", stand.pen.web()), "\nno web_stats\n"] {
        assert!(config.body.contains(line), "{line}: {config:?}");
    }
    let password = format!("\nweb_password {}\n", stand.file.display());
    assert!(config.body.contains(&password) && !config.body.contains("sesame"));
}

#[test]
fn what_is_refused() {
    better!(WEB);
    let stand = Stand::new(Starter::new().letters(1));
    let set = "server 0 max 9";
    let zeros = "0".repeat(32);
    let port = stand.pen.web().inet().port();
    let other_port = format!("http://{}:1", stand.pen.host.ip);
    let named = format!("localhost:{port}");
    for (status, fields, command) in [
        (401, &[("Authorization", "")][..], set),
        (401, &[("Authorization", "Bearer x")], set),
        (403, &[("X-Pen-Token", "")], set),
        (403, &[("X-Pen-Token", "x")], set),
        (403, &[("X-Pen-Token", &zeros)], set),
        (403, &[("Origin", "http://evil.example")], set),
        (403, &[("Origin", &other_port)], set),
        (403, &[("Origin", "null")], set),
        // Another of pen's names is another origin for a browser.
        (403, &[("Host", &named)], set),
        (421, &[("Host", "evil.example")], set),
        (421, &[("Host", "evil.example"), ("Origin", "http://evil.example")], set),
        (400, &[], "server 0 max 9\nmode"),
        (422, &[], "server 0 max x"),
        (422, &[], "exit"),
        (413, &[], &"x".repeat(5000)),
    ] {
        assert_eq!(stand.action(fields, command), status, "{fields:?} {command}");
    }
    assert!(stand.pen.ask("servers").contains(" max 0 "));
    // All of them are right otherwise.
    assert_eq!(stand.action(&[("Origin", "")], set), 200);
    assert!(stand.pen.ask("servers").contains(" max 9 "));
    // Nobody else may look, and a health check need not.
    for path in ["/", "/status.json", "/metrics", "/config", "/x"] {
        let answer = stand.pen.get(path);
        assert_eq!(answer.status, 401, "{path}");
        let asks = answer.field("WWW-Authenticate");
        assert_eq!(asks, Some("Basic realm=\"pen\", charset=\"UTF-8\""));
    }
    assert_eq!(stand.pen.get("/healthz").status, 200);
}

/// One wrong password a second, however many come at once and wherever from.
#[test]
fn wrong_passwords_take_their_time_one_after_the_other() {
    better!(WEB);
    const GUESSES: u32 = 4;
    let stand = Stand::new(Starter::new());
    let url = stand.url("/status.json");
    let status = |from: u32, user: &str| {
        let from = format!("127.0.0.{from}");
        curl(&["-u", user, "--interface", &from, &url]).status
    };
    // Twice: nobody is made to wait for what is right.
    assert_eq!([status(70, USER), status(70, USER)], [200; 2]);
    let start = Instant::now();
    std::thread::scope(|scope| {
        let guess = |from: u32| move || assert_eq!(status(70 + from / 2, "admin:guess"), 401);
        for from in 0..GUESSES {
            scope.spawn(guess(from));
        }
    });
    let took = start.elapsed();
    assert!(took >= GUESSES * Duration::from_secs(1), "{took:?}");
    assert_eq!(status(70, USER), 200);
}

#[test]
fn a_password_that_is_taken_away() {
    better!(WEB);
    let stand = Stand::new(Starter::new());
    assert_eq!(stand.pen.ask("web_password"), format!("{}\n", stand.file.display()));
    // Another one, at once.
    fs::write(&stand.file, "other:one").unwrap();
    stand.pen.ask(&format!("web_password {}", stand.file.display()));
    assert_eq!(curl(&["-u", "other:one", &stand.url("/")]).status, 200);
    // One that is none changes nothing.
    for (text, mode, part) in [
        ("a:b", 0o640, "mode 0640, others may use it: chmod 600"),
        ("a:b", 0o602, "mode 0602"),
        ("nothing", 0o600, "expected one line, user:password"),
        ("a:b\nc:d\n", 0o600, "expected one line"),
        ("", 0o600, "expected one line"),
    ] {
        fs::write(&stand.file, text).unwrap();
        fs::set_permissions(&stand.file, fs::Permissions::from_mode(mode)).unwrap();
        let reply = stand.pen.ask(&format!("web_password {}", stand.file.display()));
        assert!(reply.contains(part), "{reply}");
    }
    // A pipe, which nobody is waited for to write to.
    fs::remove_file(&stand.file).unwrap();
    assert!(Command::new("mkfifo").arg(&stand.file).status().unwrap().success());
    let reply = stand.pen.ask(&format!("web_password {}", stand.file.display()));
    assert!(reply.contains("not a regular file"), "{reply}");
    assert_eq!(curl(&["-u", "other:one", &stand.url("/")]).status, 200);
    assert_eq!(stand.pen.ask("no web_password"), "");
    let status = stand.pen.get("/status.json");
    assert_eq!(status.member("\"control\":", "possible"), "false");
    assert_eq!(status.member("\"control\":", "token"), "null");
    for path in ["/config", "/control"] {
        let method = if path == "/control" { "POST" } else { "GET" };
        let answer = curl(&["-X", method, "-u", "other:one", &stand.url(path)]);
        assert_eq!(answer.status, 403, "{path}");
    }
}

#[test]
fn exit_only_where_it_may() {
    better!(WEB);
    let mut stand = Stand::new(Starter::new().args(["-X"]));
    let token = format!("X-Pen-Token: {}", stand.token());
    curl(&["-u", USER, "-H", &token, "--data-binary", "exit", &stand.url("/control")]);
    assert!(stand.pen.wait().success());
}

/// What is written starts it again.
#[test]
fn a_written_file_has_it() {
    better!(WEB);
    let Stand { pen, file } = Stand::new(Starter::new());
    let (text, web, _host) = (pen.written(), pen.web().clone(), pen.host.clone());
    assert!(text.contains(&format!("\nweb {web}\nweb_acl 0\nweb_password /")), "{text}");
    drop(pen);
    wait_until("it has ended", || web.connect().is_err());
    let pen = Starter::new().config(text).control().expect(": web: ").start();
    assert_eq!(get(&web, "/").status, 401);
    // HUP reads the password again.
    fs::write(&file, "new:one\n").unwrap();
    pen.signal("HUP");
    let url = format!("http://{web}/");
    wait_until("the password is the new one", || curl(&["-u", "new:one", &url]).status == 200);
}

/// As of a file that only root can read, while pen runs as another user: HUP
/// says nothing about it before it is another file.
#[test]
fn a_password_that_only_root_can_read_stays() {
    better!(WEB);
    root!();
    let (host, dir) = (Host::new(), Dir::new().open_to_all());
    let file = password_file(&dir);
    let config = dir.put("pen.cfg", format!("web_password {}\n", file.display()));
    let (web, control) = (host.at(), host.at());
    let pen = Starter::on(&host)
        .args(["-F", config.to_str().unwrap(), "--web", &web.to_string()])
        .args(["-C", &control.to_string(), "-u", "nobody"])
        .expect("password: cannot read the password")
        .start();
    let url = format!("http://{web}/");
    let reloaded = |count: usize| {
        pen.signal("HUP");
        wait_until("it is read again", || {
            let done = pen.times_said("reloading");
            done == count && curl(&["-u", USER, &url]).status == 200
        });
    };
    reloaded(1);
    reloaded(2);
    fs::write(&file, "new:one\n").unwrap();
    pen.signal("HUP");
    pen.says("cannot read the password");
    // Not by the first two, which were answered before.
    let messages = pen.messages();
    let complaints = messages.iter().filter(|line| line.contains("cannot read"));
    assert_eq!(complaints.count(), 1, "{messages:?}");
    assert_eq!(curl(&["-u", USER, &url]).status, 200);
}
