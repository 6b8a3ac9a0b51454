//! Kinds of checks, with the servers that they are for.

use crate::checks::is;
use crate::stand::{
    At, Backend, Dir, Host, NAME, NameServer, Pen, RealServer, Responder, Starter, better, is_root,
    query, wait_until,
};
use std::fmt::Write as _;
use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

/// A pen that checks this server once a second, and believes each check.
fn checking(server: &At, starter: Starter) -> Pen {
    starter
        .control()
        .args(["-O", "check 1", "-O", "check_rise 1", "-O", "check_fall 1"])
        .args(["-O", "check_timeout 1"])
        .server(server)
        .expect("server 0")
        .start()
}

/// Waits until server 0 is down for this reason.
fn is_down(pen: &Pen, reason: &str) {
    let reason = format!(" reason {reason}");
    let mut line = String::new();
    let is_down = || {
        line = pen.ask("servers");
        line.contains(" state down") && line.contains(&reason)
    };
    wait_until(format!("down: {reason}"), is_down);
}

/// A server that answers each connection with these bytes, and tells what it was
/// asked and by whom.
fn answering(at: At, answer: &'static [u8]) -> (Backend, mpsc::Receiver<(String, String)>) {
    let (sender, receiver) = mpsc::channel();
    let server = Backend::start(at, move |stream| {
        let (mut stream, mut buffer): (&TcpStream, _) = (&stream, [0; 1000]);
        let from = stream.peer_addr().map_or(String::new(), |addr| addr.ip().to_string());
        let len = stream.read(&mut buffer).unwrap_or(0);
        let _ = stream.write_all(answer);
        let _ = sender.send((String::from_utf8_lossy(&buffer[..len]).into_owned(), from));
    });
    (server, receiver)
}

fn nginx(host: &Host) -> Option<RealServer> {
    RealServer::start(host, &["nginx"], |dir, at| {
        let file = dir.join("conf");
        let dir = dir.to_str().unwrap();
        let mut text = format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\n"
        );
        for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(text, "{what}_temp_path {dir}/{what};");
        }
        let _ = write!(
            text,
            "server {{\nlisten {at};\nlocation / {{ return 200 well; }}\n\
             location /moved {{ return 302 /; }}\nlocation /sick {{ return 503; }}\n}}\n}}\n"
        );
        fs::write(&file, text).unwrap();
        ["-p", dir, "-c", file.to_str().unwrap()].map(str::to_owned).into()
    })
}

#[test]
fn http_servers_are_asked_for_a_path() {
    better!(CHECKS);
    let host = Host::new();
    let Some(server) = nginx(&host) else {
        return;
    };
    let pen = checking(&server.at, Starter::on(&host));
    is(&pen, 0, "up");
    pen.ask("check_http /sick");
    is_down(&pen, "HTTP 503");
    pen.ask("check_http /sick 503");
    is(&pen, 0, "up");
    pen.ask("check_http / 204");
    is_down(&pen, "HTTP 200");
    pen.ask("check_http /moved");
    is(&pen, 0, "up");
    pen.ask("check_http /missing/\u{e9}");
    // It was refused, and the other one is still in force.
    assert_eq!(pen.ask("check_http"), "/moved\n");
    pen.ask("check_http /sick");
    is_down(&pen, "HTTP 503");
    pen.ask("no check_http");
    is(&pen, 0, "up");
}

#[test]
fn a_check_by_http_is_a_short_request_from_the_source() {
    better!(CHECKS);
    let host = Host::new();
    let (server, asked) = answering(host.at(), b"SSH-2.0-\x1b[1m\r\nmore\r\n");
    let source = host.addr().ip().to_string();
    let starter = Starter::on(&host).args(["-O", "check_http /health?all"]);
    let pen = checking(&server.at, starter.args(["-O", &format!("source {source}")]));
    let (request, from) = asked.recv_timeout(Duration::from_secs(20)).unwrap();
    let wanted = format!(
        "GET /health?all HTTP/1.1\r\nHost: {}\r\nUser-Agent: pen/{}\r\nConnection: close\r\n\r\n",
        server.at,
        env!("CARGO_PKG_VERSION"),
    );
    assert_eq!((request, from), (wanted, source));
    is_down(&pen, "answered SSH-2.0-.[1m");
    // Who asks is no client.
    assert_eq!(pen.ask("recent"), "");
}

#[test]
fn redis_is_asked_with_ping() {
    better!(CHECKS);
    let host = Host::new();
    let server = RealServer::start(&host, &["redis-server"], |dir, at| {
        let (at, dir) = (at.inet(), dir.to_str().unwrap());
        let (ip, port) = (at.ip().to_string(), at.port().to_string());
        ["--bind", &ip, "--port", &port, "--dir", dir, "--save", ""].map(str::to_owned).into()
    });
    let Some(server) = server else {
        return;
    };
    let starter = Starter::on(&host).args(["-O", "check_send PING\\r\\n"]);
    let pen = checking(&server.at, starter.args(["-O", "check_expect +PONG"]));
    is(&pen, 0, "up");
    pen.ask("check_send AUTH\\swrong\\r\\n");
    is_down(&pen, "answered -ERR AUTH");
    pen.ask("check_send PING\\x0d\\x0a");
    is(&pen, 0, "up");
    drop(server);
    is_down(&pen, "Connection refused");
}

#[test]
fn mail_servers_greet() {
    better!(CHECKS);
    let host = Host::new();
    let server = RealServer::start(&host, &["exim4"], |dir, at| {
        let (at, file) = (at.inet(), dir.join("conf"));
        let dir = dir.to_str().unwrap();
        let text = format!(
            "spool_directory = {dir}/spool\nlog_file_path = {dir}/%slog\npid_file_path = {dir}/pid\n\
             primary_hostname = mail.example.test\nlocal_interfaces = {}\n\
             daemon_smtp_ports = {}\nhost_lookup =\nrfc1413_hosts =\n",
            at.ip(),
            at.port(),
        );
        fs::write(&file, text).unwrap();
        ["-C", file.to_str().unwrap(), "-bdf"].map(str::to_owned).into()
    });
    let Some(server) = server else {
        return;
    };
    let pen = checking(&server.at, Starter::on(&host).args(["-O", "check_expect 220\\s"]));
    is(&pen, 0, "up");
    pen.ask("check_expect 221");
    is_down(&pen, "answered 220 mail.example.test ESMTP Exim");
}

/// A query as `check_send` has it, and how its answer begins.
fn dns_texts() -> (String, String) {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect();
    // The same number; an answer, authoritative, and no error.
    (hex(&query(0x1234)), hex(&[0x12, 0x34, 0x85, 0x80]))
}

#[test]
fn name_servers_are_asked_by_udp() {
    better!(CHECKS);
    let host = Host::new();
    let Some(server) = NameServer::start(host.at(), Ipv4Addr::new(192, 0, 2, 7)) else {
        return;
    };
    let (send, expect) = dns_texts();
    assert!(!NAME.is_empty());
    let starter = Starter::on(&host).udp().args(["-O", &format!("check_send {send}")]);
    let pen = checking(&server.at, starter.args(["-O", &format!("check_expect {expect}")]));
    is(&pen, 0, "up");
    // It does not answer to this.
    pen.ask("check_send x");
    is_down(&pen, "no answer within 1 s");
    pen.ask(&format!("check_send {send}"));
    is(&pen, 0, "up");
    pen.ask("check_expect \\x12\\x34\\x01");
    is_down(&pen, "answered .4");
    // Without either, it only must not refuse.
    pen.ask("no check_send");
    pen.ask("no check_expect");
    is(&pen, 0, "up");
    drop(server);
    is_down(&pen, "Connection refused");
}

#[test]
fn a_udp_server_may_have_its_health_elsewhere() {
    better!(CHECKS);
    let host = Host::new();
    let server = Responder::silent(host.at());
    let at = server.at.inet();
    let (health, _asked) =
        answering(At::Inet((at.ip(), host.addr().port()).into()), b"HTTP/1.0 200 OK\r\n\r\n");
    let starter = Starter::on(&host).udp().args(["-O", "check_http /"]);
    let pen = checking(&server.at, starter);
    is_down(&pen, "Connection refused");
    pen.ask(&format!("server 0 check_port {}", health.at.inet().port()));
    is(&pen, 0, "up");
    assert_eq!(server.count(), 0);
}

#[test]
fn another_port_may_be_checked() {
    better!(CHECKS);
    let host = Host::new();
    let backends = Backend::letters(&host, 1);
    let at = backends[0].at.inet();
    let other = host.addr().port();
    let pen = checking(&backends[0].at, Starter::on(&host));
    is(&pen, 0, "up");
    pen.ask(&format!("server 0 check_port {other}"));
    is_down(&pen, "Connection refused");
    let dir = Dir::new();
    let saved = dir.file("saved");
    pen.ask(&format!("write {}", saved.display()));
    let text = fs::read_to_string(saved).unwrap();
    assert!(text.contains(&format!(" port {} ", at.port())), "{text}");
    assert!(text.contains(&format!(" check_port {other}\n")), "{text}");
    // It is up by the port that is checked, and serves at its own.
    let _health = Backend::letter(At::Inet((at.ip(), other).into()), 'H');
    is(&pen, 0, "up");
    assert_eq!(pen.letter(), "A");
    pen.ask("server 0 check_port 0");
    assert!(pen.ask("server 0 check_port 65536").contains("bad number"));
}

/// Why checks that ask something are worth having.
#[test]
fn a_server_that_accepts_and_hangs_is_up_by_connect_and_late_by_anything_else() {
    better!(CHECKS);
    let host = Host::new();
    let server = Backend::start(host.at(), |stream| {
        let _ = (&*stream).read(&mut [0; 1000]);
        let _ = (&*stream).read(&mut [0; 1000]);
    });
    let pen = checking(&server.at, Starter::on(&host));
    is(&pen, 0, "up");
    for late in ["check_http /", "check_expect 220"] {
        pen.ask(late);
        is_down(&pen, "no answer within 1 s");
        pen.ask("no check_http");
        // A connect is good enough for what only has to take it.
        pen.ask("no check_expect");
        pen.ask("check_send hello");
        is(&pen, 0, "up");
    }
}

#[test]
fn a_server_that_closes_has_not_answered() {
    better!(CHECKS);
    let host = Host::new();
    let (server, _asked) = answering(host.at(), b"");
    let starter = Starter::on(&host).args(["-O", "check_send hello", "-O", "check_expect x"]);
    let pen = checking(&server.at, starter);
    is_down(&pen, "closed without an answer");
}

/// A program that pen runs.
fn script(dir: &Dir, name: &str, text: &str) -> PathBuf {
    let path = dir.file(name);
    // Under another name first: a file that is open for writing cannot be run.
    let draft = dir.file("draft");
    fs::write(&draft, format!("#!/bin/sh\n{text}\n")).unwrap();
    fs::set_permissions(&draft, fs::Permissions::from_mode(0o755)).unwrap();
    fs::rename(draft, &path).unwrap();
    path
}

/// How many child processes pen has, zombies included.
fn children(pen: &Pen) -> usize {
    let parent = pen.pid().to_string();
    let stats = fs::read_dir("/proc").unwrap().map_while(Result::ok).filter_map(|entry| {
        let stat = fs::read_to_string(entry.path().join("stat")).ok()?;
        let behind_name = stat.rsplit_once(") ")?.1.to_owned();
        behind_name.split(' ').nth(1).map(str::to_owned)
    });
    stats.filter(|ppid| *ppid == parent).count()
}

fn descriptors(pen: &Pen) -> usize {
    fs::read_dir(format!("/proc/{}/fd", pen.pid())).unwrap().count()
}

#[test]
fn programs_say_whether_a_server_works() {
    better!(CHECKS);
    let (host, dir) = (Host::new(), Dir::new().open_to_all());
    let backends = Backend::letters(&host, 1);
    let pen = checking(&backends[0].at, Starter::on(&host));
    is(&pen, 0, "up");
    let before = descriptors(&pen);
    // Each is named before HTTP, which would fail.
    pen.ask("check_http /");
    is(&pen, 0, "down");
    let run = |name, text| {
        let path = script(&dir, name, text);
        assert_eq!(
            pen.ask(&format!("check_program {}", path.display())),
            format!("{}\n", path.display())
        );
        path
    };
    // The one of HAProxy's manual.
    pen.ask("check_program /bin/true");
    is(&pen, 0, "up");
    let recover = || {
        pen.ask("check_program /bin/true");
        is(&pen, 0, "up");
    };
    run("fails", "echo no licence; echo really; exit 3");
    is_down(&pen, "exit status 3: no licence");
    recover();
    run("dies", "kill -9 $$");
    is_down(&pen, "killed");
    recover();
    let hangs = run("hangs", "/bin/sleep 600 & /bin/sleep 601");
    is_down(&pen, &format!("{}: no result within 1 s", hangs.display()));
    recover();
    let missing = dir.file("missing");
    pen.ask(&format!("check_program {}", missing.display()));
    is_down(&pen, &format!("{}: No such file or directory", missing.display()));
    recover();
    // What pen ends with and waits for is not blocked in the program.
    run("ends", "kill -TERM $$; /bin/sleep 600");
    is_down(&pen, "killed");
    recover();
    pen.ask("check 0");
    wait_until("nothing is left of them", || children(&pen) == 0 && descriptors(&pen) <= before);
}

/// The arguments of a program, and its `PATH`, as a script notes them.
fn noted(file: &Path) -> Vec<String> {
    let mut words = Vec::new();
    wait_until("the program was run", || {
        let text = fs::read_to_string(file).unwrap_or_default();
        words = text.split_whitespace().map(str::to_owned).collect();
        text.ends_with('\n')
    });
    words
}

/// A script with four arguments, run by both.
#[test]
fn programs_are_called_as_haproxy_calls_them() {
    better!(CHECKS);
    let (host, dir) = (Host::new(), Dir::new().open_to_all());
    let backends = Backend::letters(&host, 1);
    let server = backends[0].at.inet();
    let note = |name: &str| {
        let file = dir.file(&format!("{name}.noted"));
        let text = format!("echo $# $1 $2 $3 $4 PATH=$PATH >{}", file.display());
        (script(&dir, name, &text), file)
    };
    let words = |own: &At| {
        let own = own.inet();
        let [a, b] = [own, server].map(|at| [at.ip().to_string(), at.port().to_string()]);
        [vec!["4".to_owned()], a.into(), b.into(), vec!["PATH=".to_owned()]].concat()
    };
    let (program, file) = note("pen");
    let starter = Starter::on(&host).args(["-O", &format!("check_program {}", program.display())]);
    let pen = checking(&backends[0].at, starter);
    assert_eq!(noted(&file), words(&pen.at));
    is(&pen, 0, "up");
    let (program, file) = note("haproxy");
    let user = if is_root() { "" } else { "insecure-setuid-wanted\n" };
    let haproxy = RealServer::start(&host, &["haproxy"], |dir, at| {
        let conf = dir.join("conf");
        let text = format!(
            "global\nexternal-check\ninsecure-fork-wanted\n{user}defaults\nmode tcp\n\
             timeout connect 5s\ntimeout client 5s\ntimeout server 5s\nlisten here\nbind {at}\n\
             option external-check\nexternal-check command {}\nserver a {server} check inter 1s\n",
            program.display()
        );
        fs::write(&conf, text).unwrap();
        ["-db", "-f", conf.to_str().unwrap()].map(str::to_owned).into()
    });
    if let Some(haproxy) = haproxy {
        assert_eq!(noted(&file), words(&haproxy.at));
    }
}

/// On a Unix socket there are no ports.
#[test]
fn programs_and_http_reach_unix_sockets() {
    better!(CHECKS);
    let dir = Dir::new().open_to_all();
    let (server, asked) = answering(At::Unix(dir.file("server")), b"HTTP/1.1 200 OK\r\n");
    let file = dir.file("noted");
    let program = script(&dir, "check", &format!("echo $1 $2 $3 $4 >{}", file.display()));
    let starter = Starter::at(At::Unix(dir.file("pen")));
    let starter = starter.args(["-O", &format!("check_program {}", program.display())]);
    let pen = checking(&server.at, starter);
    let path = |name| dir.file(name).display().to_string();
    assert_eq!(noted(&file), [path("pen"), "NOT_USED".into(), path("server"), "NOT_USED".into()]);
    pen.ask("no check_program");
    pen.ask("check_http /");
    let is_request = |(request, _): (String, String)| request.contains("\r\nHost: localhost\r\n");
    wait_until("a check by HTTP", || asked.try_iter().any(is_request));
    is(&pen, 0, "up");
}
