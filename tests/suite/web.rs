//! The web interface: what it serves, where, and to whom.

use crate::stand::{
    Answer, At, Client, Pen, Port, Starter, aside, ask_web, better, finish, get, skipped,
    wait_until,
};
use std::io::Write;
use std::path::PathBuf;
use std::process::{Command, Stdio};

#[test]
fn it_is_off_until_asked_for() {
    better!(WEB);
    assert_eq!(Starter::new().control().start().ask("web"), "");
    // A port alone is 127.0.0.1's.
    let port = Port::new();
    let pen = Starter::new().args(["--web", &port.number.to_string()]).control().start();
    assert_eq!(pen.ask("web"), format!("127.0.0.1:{}\n", port.number));
    assert_eq!(get(&port.at(), "/healthz").status, 503);
    let elsewhere = At::Inet((pen.host.ip, port.number).into());
    assert!(elsewhere.connect().is_err());
}

#[test]
fn everything_is_served() {
    better!(WEB);
    let pen = Starter::new().letters(1).web().start();
    let web = pen.web();
    assert_eq!(pen.letter(), "A");
    for (path, kind, part) in [
        ("/", "text/html; charset=utf-8", "</html>"),
        ("/?x", "text/html; charset=utf-8", "</html>"),
        ("/page.css", "text/css; charset=utf-8", "body {"),
        ("/page.js", "text/javascript; charset=utf-8", "fetch("),
        ("/favicon.ico", "image/svg+xml", "<svg "),
        ("/status.json", "application/json", "\"format\":1,"),
        ("/metrics", "text/plain; version=0.0.4; charset=utf-8", "pen_clients 1\n"),
        ("/healthz", "text/plain; charset=utf-8", "ok\n"),
    ] {
        let answer = pen.get(path);
        assert_eq!(answer.status, 200, "{answer:?}");
        assert_eq!(answer.field("Content-Type"), Some(kind));
        assert!(answer.body.contains(part), "{answer:?}");
        is_guarded(&answer);
        let head = ask_web(pen.web(), format!("HEAD {path} HTTP/1.1\r\nHost: {web}\r\n\r\n"));
        assert_eq!((head.status, head.body.as_str()), (200, ""));
        assert_eq!(head.field("Content-Type"), Some(kind));
        let length = answer.field("Content-Length").unwrap();
        assert_eq!(length, answer.body.len().to_string());
    }
    for (method, path, status) in [
        ("GET", "/x", 404),
        ("GET", "/control", 405),
        ("GET", "/config", 403),
        ("POST", "/", 405),
        ("OPTIONS", "/", 405),
        ("POST", "/control", 403),
    ] {
        let answer = ask_web(pen.web(), format!("{method} {path} HTTP/1.1\r\nHost: {web}\r\n\r\n"));
        assert_eq!(answer.status, status, "{method} {path}");
        assert_eq!(answer.field("Allow").is_some(), status == 405);
        is_guarded(&answer);
    }
}

/// It has what keeps browsers from mistakes.
fn is_guarded(answer: &Answer) {
    for (name, value) in [
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Cache-Control", "no-store"),
        ("Connection", "close"),
    ] {
        assert_eq!(answer.field(name), Some(value), "{}", answer.head);
    }
    let policy = answer.field("Content-Security-Policy").unwrap();
    assert!(policy.starts_with("default-src 'none'; "), "{policy}");
    assert!(!policy.contains("unsafe"), "{policy}");
    assert!(answer.field("Date").is_some_and(|date| date.ends_with(" GMT")));
}

/// As another program reads it.
#[test]
fn status_json_is_json() {
    better!(WEB);
    if Command::new("python3").arg("--version").output().is_err() {
        return skipped("no python3, which reads JSON");
    }
    let pen = Starter::new().letters(1).args(["-e", "/tmp/\"\\<b>\u{e9}"]).web().start();
    let _client = pen.connect_to("A");
    // The client may have it a moment before it is counted.
    wait_until("the connection and its byte are shown", || {
        let status = pen.get("/status.json");
        status.member("\"connections\":{", "used") == "1"
            && status.member("\"connections\":{", "sx") == "1"
    });
    let text = pen.get("/status.json").body;
    let script = "import json, sys\n\
        s = json.load(sys.stdin)\n\
        assert [r['role'] for r in s['servers']] == ['server', 'emergency']\n\
        assert s['servers'][1]['address'] == '/tmp/\"\\\\<b>\\u00e9', s['servers'][1]\n\
        assert s['servers'][1]['index'] is None and s['servers'][0]['connects'] == 1\n\
        c, = s['connections']['open']\n\
        assert (c['id'], c['client'], c['server'], c['sx'], c['rx']) == (0, '127.0.0.1', 0, 1, 0)\n\
        k, = s['clients']['recent']\n\
        assert (k['client'], k['server'], k['connects'], k['sx']) == ('127.0.0.1', 0, 1, 1)\n\
        assert s['control'] == dict(possible=False, exit=False, token=None, user=None)\n\
        assert s['totals'] == dict(connects=1, failures=0, sx=0, rx=1)\n\
        assert s['settings']['timeout'] == 3 and s['modes']['hash'] is False\n";
    let output = python("python3".into(), script, &text);
    assert_eq!(output, "");
}

/// What a script, which reads this text, has to complain about.
fn python(python: PathBuf, script: &str, text: &str) -> String {
    let mut command = Command::new(python);
    command.args(["-c", script]).stdin(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.success(), output.stderr.is_empty());
    String::from_utf8(output.stderr).unwrap()
}

/// Counted to the byte, and never less than before.
#[test]
fn counts_grow_with_the_traffic() {
    better!(WEB);
    let pen = Starter::new().echo().web().start();
    let mut last = 0;
    for round in 1..=20 {
        let client = pen.connect();
        client.send([7; 1000]);
        client.receive(1000);
        drop(client);
        let sent = pen.get("/status.json").member("\"servers\":", "sx").parse().unwrap();
        assert!(last <= sent && sent <= 1000 * round, "{last} {sent} {round}");
        last = sent;
    }
    let shown = |name: &str| pen.get("/status.json").member("\"totals\":", name).to_owned();
    wait_until("all is counted", || {
        (shown("connects"), shown("sx"), shown("rx"))
            == ("20".to_owned(), "20000".to_owned(), "20000".to_owned())
    });
}

/// Each state that a server can have, and what becomes of the health.
#[test]
fn states_of_servers() {
    better!(WEB);
    let starter = Starter::new().letters(1).web();
    let mut pen = starter.expect(" is down, next try in ").expect("no server available").start();
    let is = |pen: &Pen, state: &str, health: &str| {
        let what = format!("{state}, {health}");
        wait_until(&what, || {
            let status = pen.get("/status.json");
            let answer = pen.get("/healthz");
            let code = if health == "ok" { 200 } else { 503 };
            status.member("\"servers\":", "state") == state
                && status.member("", "health") == health
                && (answer.status, answer.body) == (code, format!("{health}\n"))
        });
    };
    is(&pen, "untried", "ok");
    assert_eq!(pen.letter(), "A");
    is(&pen, "up", "ok");
    pen.ask("server 0 blacklist 60");
    is(&pen, "drained", "down");
    let left = pen.get("/status.json").member("\"servers\":", "left").parse::<u64>();
    assert!(left.is_ok_and(|left| (30..=60).contains(&left)));
    pen.ask("server 0 blacklist 0");
    pen.ask("server 0 max 1");
    let client = pen.connect_to("A");
    is(&pen, "full", "full");
    drop(client);
    is(&pen, "up", "ok");
    pen.end_server(0);
    assert!(pen.connect().ends());
    is(&pen, "down", "down");
    assert_eq!(pen.get("/status.json").member("\"servers\":", "failures"), "1");
    // Another one takes its place.
    pen.ask(&format!("emergency {}", pen.host.at()));
    is(&pen, "down", "ok");
    pen.ask("server 0 address 0");
    pen.ask("emergency 0");
    is(&pen, "empty", "down");
    pen.ask("dummy");
    is(&pen, "empty", "ok");
}

#[test]
fn all_connections_taken_is_full() {
    better!(WEB);
    let pen = Starter::new().letters(1).args(["-x", "1"]).web().start();
    assert_eq!(pen.get("/healthz").body, "ok\n");
    let client = pen.connect_to("A");
    wait_until("it is full", || pen.get("/healthz").body == "full\n");
    drop(client);
    wait_until("it is not", || pen.get("/healthz").body == "ok\n");
}

#[test]
fn it_opens_moves_and_closes() {
    better!(WEB);
    let pen = Starter::new().control().start();
    let (one, two) = (pen.host.at(), pen.host.at());
    assert_eq!(pen.ask(&format!("web {one}")), format!("{one}\n"));
    assert_eq!(get(&one, "/healthz").status, 503);
    // The same again changes nothing.
    assert_eq!(pen.ask(&format!("web {one}")), format!("{one}\n"));
    assert_eq!(pen.ask(&format!("web {two}")), format!("{two}\n"));
    assert_eq!(get(&two, "/healthz").status, 503);
    wait_until("the old place is closed", || one.connect().is_err());
    let reply = pen.ask("web 192.0.2.1:81");
    assert!(reply.starts_with("web 192.0.2.1:81: cannot listen"), "{reply}");
    let reply = pen.ask("web nonsense");
    assert!(reply.contains("nonsense"), "{reply}");
    assert_eq!(get(&two, "/healthz").status, 503);
    assert_eq!(pen.ask("no web"), "");
    wait_until("it is closed", || two.connect().is_err());
    assert_eq!(pen.ask("web"), "");
    pen.ask(&format!("web {two}"));
    assert_eq!(get(&two, "/healthz").status, 503);
}

#[test]
fn a_list_keeps_clients_out() {
    better!(WEB);
    let pen = Starter::new().expect("web connection denied").web().start();
    pen.ask("acl 3 deny 127.0.0.0/8");
    assert_eq!(pen.ask("web_acl 3"), "3\n");
    assert!(Client::new(pen.web()).ends());
    pen.says("web connection denied");
    assert_eq!(pen.ask("web_acl 0"), "0\n");
    assert_eq!(pen.get("/healthz").status, 503);
}

/// Names can be made to stand for this host by others, addresses cannot.
#[test]
fn a_strange_name_is_refused() {
    better!(WEB);
    let pen = Starter::new().web().start();
    let from = |host: &str, path: &str| {
        ask_web(pen.web(), format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).status
    };
    for host in ["evil.example", "evil.example:8081", ""] {
        assert_eq!(from(host, "/"), 421, "{host}");
        assert_eq!(from(host, "/status.json"), 421, "{host}");
        assert_eq!(from(host, "/metrics"), 200, "{host}");
        assert_eq!(from(host, "/healthz"), 503, "{host}");
    }
    for host in ["localhost:1", "[::1]", "192.0.2.1:80"] {
        assert_eq!(from(host, "/"), 200, "{host}");
    }
    // The target goes before the field.
    assert_eq!(from("localhost", "http://evil.example/"), 421);
    assert_eq!(ask_web(pen.web(), "GET / HTTP/1.0\r\n\r\n").status, 421);
}

/// Names, types, labels and values, as those who made the format read them.
#[test]
fn metrics_are_read_by_the_reference_parser() {
    better!(WEB);
    // Where .ci/run puts it.
    let target = std::env::current_exe().unwrap();
    let venv = target.ancestors().find_map(|dir| {
        let python = dir.join("prometheus/bin/python");
        python.exists().then_some(python)
    });
    let Some(venv) = venv else {
        return skipped("no prometheus-client: .ci/run puts it into target/prometheus");
    };
    let pen = Starter::new().letters(1).args(["-e", "/tmp/a\"b\\c"]).web().start();
    assert_eq!(pen.letter(), "A");
    let text = pen.get("/metrics").body;
    let script = "import sys\n\
        from prometheus_client.parser import text_string_to_metric_families as parse\n\
        families = list(parse(sys.stdin.read()))\n\
        values = {}\n\
        for f in families:\n\
        \x20   assert f.documentation and f.type in ('gauge', 'counter'), f\n\
        \x20   for s in f.samples:\n\
        \x20       assert s.name.endswith('_total') == (f.type == 'counter'), s\n\
        \x20       key = (s.name, s.labels.get('server'))\n\
        \x20       key += tuple(s.labels[l] for l in ('state', 'reason') if l in s.labels)\n\
        \x20       assert key not in values, s\n\
        \x20       values[key] = s.value\n\
        \x20       if s.labels.get('server') == 'emergency':\n\
        \x20           assert s.labels['address'] == '/tmp/a\"b\\\\c', s\n\
        assert len(families) == 33, len(families)\n\
        assert values['pen_build_info', None] == 1\n\
        assert values['pen_server_up', '0'] == 1\n\
        assert values['pen_server_connects_total', '0'] == 1\n\
        assert values['pen_clients_accepted_total', None] == 1\n\
        assert values['pen_clients', None] == 1\n";
    assert_eq!(python(venv, script, &text), "");
}

#[test]
fn what_check_says_of_it() {
    aside("options and commands that only ours has");
    for (words, part) in [
        (&["--web", "127.0.0.1:99999"][..], "--web 127.0.0.1:99999"),
        (&["-O", "web x:y"], "web x:y"),
        (&["-O", "web_password /nowhere/x"], "/nowhere/x: cannot read the password"),
        (&["-O", "web_acl x"], "web_acl: bad number 'x'"),
    ] {
        let mut command = Command::new(crate::stand::our_program());
        command.arg("--check").args(words).args(["127.0.0.1:1", "127.0.0.1:2"]);
        let output = finish(command);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && said.contains(part), "{said}");
    }
}
