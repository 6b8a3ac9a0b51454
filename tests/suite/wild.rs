//! Command lines as they are in use, with other addresses: scripts, container
//! images and manuals of others. Each is quoted above its test.

use crate::stand::{
    At, Backend, Background, Client, Dir, Host, Pen, Port, Starter, finish, free_v6, is_root,
    program, root, signal, skipped, wait_until,
};
use std::fs;
use std::process::Command;

/// What penctl prints; the words of the command are words of its own.
pub(crate) fn penctl(at: &impl ToString, line: &str) -> String {
    let mut command = Command::new(program("penctl"));
    let output = finish({
        command.arg(at.to_string()).args(line.split(' '));
        command
    });
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{line}: {stderr}");
    String::from_utf8(output.stdout).unwrap()
}

/// As root a control port takes a user.
pub(crate) fn user() -> &'static [&'static str] {
    if is_root() { &["-u", "root"] } else { &[] }
}

/// `pen -l pen.log -p pen.pid lbhost:80 host1:80 host2:80`
#[test]
fn a_log_and_a_pid_file() {
    let dir = Dir::new();
    let pid_file = dir.file("pen.pid");
    let pen = Starter::new()
        .directory(dir.path())
        .args(["-l", "pen.log", "-p", "pen.pid"])
        .letters(2)
        .start_in_background(&pid_file);
    let client = pen.connect();
    client.send("GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.letter(), "B");
    pen.has_logged(&dir.file("pen.log"), " GET / HTTP/1.0");
    // As scripts do: kill `cat pen.pid`.
    let pid = fs::read_to_string(&pid_file).unwrap();
    signal(pid.parse().unwrap(), "TERM");
    wait_until("it ends", || !pid_file.exists());
}

/// A service that has a name, and whose port nobody uses; `None`, said aloud,
/// if there is none.
fn service() -> Option<(String, Port)> {
    let services = fs::read_to_string("/etc/services").unwrap_or_default();
    let mut entries = services.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        let number = words.next()?.strip_suffix("/tcp")?.parse().ok()?;
        (1024..15_000).contains(&number).then_some((name, number))
    });
    let found = entries.find_map(|(name, number)| Some((name.to_owned(), Port::claim(number)?)));
    if found.is_none() {
        skipped("no free port has a name in /etc/services");
    }
    found
}

/// The address and port of each line of `servers`, by the place of the word.
fn addresses(list: &str) -> Vec<(String, u16)> {
    let lines = list.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        (words[2].to_owned(), words[4].parse().unwrap())
    });
    lines.collect()
}

/// `pen smtp mailhost1:smtp mailhost2:25 mailhost3`
#[test]
fn services_by_name() {
    let Some((name, port)) = service() else { return };
    let (host, number) = (Host::new(), port.number);
    let backend = Backend::letter(host.at(), 'A');
    let pen = Starter::at(port.at())
        .listen_word(name.clone())
        .operand(format!("[::1]:{name}"))
        .operand(format!("[::1]:{number}"))
        .operand("[::1]")
        .control()
        .start();
    let mut wanted = vec![("::1".to_owned(), number); 3];
    assert_eq!(addresses(&pen.ask("servers")), wanted);
    for index in [0, 2] {
        assert_eq!(pen.ask(&format!("server {index} blacklist 60")), "");
    }
    pen.ask(&format!("server 1 {}", backend.at.words()));
    let addr = backend.at.inet();
    wanted[1] = (addr.ip().to_string(), addr.port());
    assert_eq!(addresses(&pen.ask("servers")), wanted);
    assert_eq!(pen.letter(), "A");
    let other = At::Inet((host.ip, number).into());
    assert_eq!(Client::new(&other).letter(), "A");
}

/// `pen -p pen.pid pop3 localhost:1110 otherhost:pop3`
#[test]
fn a_service_in_the_background() {
    let Some((name, port)) = service() else { return };
    let starter = Starter::at(port.at()).listen_word(name.clone());
    let pen = starter.operand(format!("[::1]:{name}")).letters(1).background();
    wait_until("it listens", || pen.at.is_listening());
    assert_eq!(pen.connect().letter(), "A");
}

/// `pen VIP:PORT -c 2049 -x 257 -S 10 -C 127.0.0.1:PORT`, and then
/// `penctl 127.0.0.1:PORT server N address IP port P max M weight W prio P`
#[test]
fn servers_by_penctl() {
    let (host, control) = (Host::new(), Port::new());
    let servers = Backend::letters(&host, 2);
    let control = control.at();
    let words = format!("-c 2049 -x 257 -S 10 -C {control}");
    let words = words.split(' ').chain(user().iter().copied());
    let pen = words.fold(Starter::on(&host).expect("-S is obsolete"), Starter::operand).start();
    for (number, server) in servers.iter().enumerate() {
        let line = format!("server {number} {} max 100 weight 1 prio 3", server.at.words());
        assert_eq!(penctl(&control, &line), "");
    }
    assert_eq!(penctl(&control, "clients_max"), "2049\n");
    assert_eq!(penctl(&control, "conn_max"), "257\n");
    let list = penctl(&control, "servers");
    let known: Vec<_> = servers.iter().map(|server| server.at.inet()).collect();
    let known: Vec<_> = known.iter().map(|at| (at.ip().to_string(), at.port())).collect();
    assert_eq!(addresses(&list), known);
    let settings = " conn 0 max 100 hard 0 weight 1 prio 3 sx 0 rx 0";
    assert!(list.lines().all(|line| line.contains(settings)), "{list}");
    assert_eq!(pen.letters(2).len(), 2);
}

/// `pen -f -H PORT localhost:P1:1 localhost:P2:1`
#[test]
fn http_with_one_connection_each() {
    let (host, port) = (Host::new(), Port::new());
    let servers = [Backend::http(host.at()), Backend::http(host.at())];
    let mut starter = Starter::at(port.at()).listen_word(port.number.to_string());
    for server in &servers {
        starter = starter.operand(format!("{}:1", server.at));
    }
    let pen = starter.args(["-H"]).control().start();
    let clients = [(), ()].map(|()| {
        let client = pen.connect();
        client.send("GET /index HTTP/1.1\r\nHost: h\r\n\r\n");
        let answer = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n/index";
        assert_eq!(client.receive(answer.len()), answer.as_bytes());
        client
    });
    assert_eq!((pen.load(0), pen.load(1)), (1, 1));
    drop(clients);
}

/// `pen -df ::1:2222 127.0.0.1:22`
#[test]
fn ipv6_in_front_of_ipv4() {
    let Some(at) = free_v6() else { return };
    let word = format!("::1:{}", at.inet().port());
    let pen = Starter::at(at)
        .args(["-df"])
        .listen_word(word)
        .letters(1)
        .expect("listening on")
        .expect("::1")
        .start();
    assert_eq!(pen.letters(2), "AA");
}

/// `pen -d pen:5672 rabbitmq0:5672 rabbitmq1:5672`
#[test]
fn debugging_in_the_background() {
    let (host, dir) = (Host::new(), Dir::new());
    let servers = Backend::letters(&host, 2);
    let (errors, pid_file) = (dir.file("errors"), dir.file("pid"));
    let at = host.at();
    let mut command = Command::new(program("pen"));
    command.arg("-d").arg(at.to_string());
    command.args(servers.iter().map(|server| server.at.to_string()));
    command.arg("-p").arg(&pid_file);
    // Containers and scripts give it the terminal, or a file.
    command.stderr(fs::File::create(&errors).unwrap());
    assert!(command.status().unwrap().success());
    let word = at.to_string();
    let pen = Background::known(at, &word, &pid_file);
    wait_until("it listens", || pen.at.is_listening());
    assert_eq!(pen.connect().letter(), "B");
}

/// `pen -w /var/www/html/stats.html ...`, and from cron
/// `penctl 127.0.0.1:1990 status > page.html`
#[test]
fn a_page_from_cron() {
    let pen = Starter::new().file("-w", "stats.html").control().letters(2).start();
    let _client = pen.connect_to("B");
    let script = "\"$0\" \"$1\" status > \"$2\"";
    let mut shell = Command::new("sh");
    shell.args(["-c", script]).arg(program("penctl"));
    shell.arg(pen.control().to_string()).arg(pen.file("page.html"));
    assert!(shell.status().unwrap().success());
    let text = pen.text("page.html");
    assert_eq!(text, pen.text("stats.html"));
    // Programs that read it go by its lines.
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[..4], ["<html>", "<head>", "<title>Pen status page</title>", "</head>"]);
    assert!(lines[4].ends_with("<h1>Pen status page</h1>"), "{text}");
    assert!(lines[5].starts_with("Time "), "{text}");
    assert!(lines[5].ends_with(", 2 servers, 1 current<p>"), "{text}");
    for word in ["server", "address", "status", "port"] {
        let cell = format!("<td bgcolor=\"#80f080\">{word}</td>");
        assert!(lines.contains(&cell.as_str()), "{text}");
    }
    for heading in ["Active clients", "Active connections"] {
        assert!(text.contains(heading), "{text}");
    }
}

/// Programs that read `servers` and `recent` go by the places of the words.
#[test]
fn replies_by_the_places_of_words() {
    let pen = Starter::new().control().letters(1).start();
    let control = pen.control();
    let client = pen.connect();
    client.send("hi\n");
    assert_eq!(client.receive(2), b"AA");
    wait_until("all is counted", || {
        let list = penctl(control, "servers");
        let words: Vec<&str> = list.trim_end().split(' ').collect();
        let addr = pen.servers[0].at().inet();
        assert_eq!([words[0], words[2]], ["0", &addr.ip().to_string()]);
        assert_eq!([words[4], words[6]], [&addr.port().to_string(), "1"]);
        let recent = penctl(control, "recent");
        let client: Vec<&str> = recent.trim_end().split(' ').collect();
        assert_eq!([client[0], client[2]], ["127.0.0.1", "1"]);
        (words[16], words[18], client[4], client[6]) == ("3", "2", "2", "3")
    });
}

/// pen is started again from the second line of a file that `write` has
/// written: `exec \`sed -n '2s/^# //p' pen.cfg\``
#[test]
fn started_again_from_a_written_file() {
    let pen = Starter::new().args(["-r", "-b", "7"]).control().letters(2).start();
    let shown = |pen: &Pen| ["servers", "mode", "blacklist"].map(|line| pen.ask(line));
    let (text, before) = (pen.written(), shown(&pen));
    let (at, control, _host) = (pen.at.clone(), pen.control().clone(), pen.host.clone());
    drop(pen);
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[0].starts_with("# Generated by pen "), "{text}");
    let words: Vec<&str> = lines[1].split(' ').collect();
    assert_eq!(words[..2], ["#", "pen"], "{text}");
    assert_eq!(words.last(), Some(&at.to_string().as_str()));
    let words = words[2..words.len() - 1].iter();
    let words = words.map(|word| word.trim_matches('\''));
    let words = words.filter(|word| *word != "-f");
    let pen = Starter::at(at).control_at(control).args(words).start();
    assert_eq!(shown(&pen), before);
}

/// `exec pen -f $args` as the first process of a container
#[test]
fn the_first_process_of_a_container() {
    root!();
    let host = Host::new();
    let servers = Backend::letters(&host, 1);
    let at = host.at();
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "sh", "-c", "exec \"$@\"", "sh"]);
    command.arg(program("pen")).arg("-f").arg(at.to_string());
    command.arg(servers[0].at.to_string());
    let Ok(mut unshare) = command.spawn() else {
        return skipped("unshare is not installed");
    };
    wait_until("it listens, or cannot be tried", || {
        at.is_listening() || unshare.try_wait().unwrap().is_some()
    });
    if !at.is_listening() {
        return skipped("process namespaces are not allowed");
    }
    assert_eq!(Client::new(&at).letter(), "A");
    // The host knows it by another number.
    let parent = unshare.id().to_string();
    let pids = fs::read_dir("/proc").unwrap().flatten();
    let mut pids = pids.filter_map(|entry| entry.file_name().into_string().ok());
    let child = pids.find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(") ").map(|(_, rest)| rest);
        rest.is_some_and(|rest| rest.split(' ').nth(1) == Some(&parent))
    });
    // A signal that the first process of a container does not catch is none.
    signal(child.unwrap().parse().unwrap(), "TERM");
    let mut ended = None;
    wait_until("it ends", || {
        ended = unshare.try_wait().unwrap();
        ended.is_some()
    });
    assert!(ended.unwrap().success());
}
