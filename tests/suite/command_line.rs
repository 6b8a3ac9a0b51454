//! The command line: what is understood and how. What is refused is in
//! [`crate::malformed`].

use crate::differences::{CHATTER, LONG_OPTIONS, REPEATED, WRONG_WORD};
use crate::stand::{
    At, Backend, Dir, Host, Pen, Starter, better, finish, is_c_pen, is_root, program, run, skipped,
    worse,
};
use std::fs;
use std::net::TcpListener;

/// What comes of `--check` with these words and a good pair of operands.
fn check(words: &[&str]) -> (i32, String, String) {
    run([&["--check"], words, &["127.0.0.1:9", "127.0.0.2:9"]].concat())
}

/// A pen with these options that serves, and says this once for each.
fn serves(options: &[&str], notes: &[&'static str]) {
    let mut starter = Starter::new().args(options).letters(1);
    for note in notes {
        starter = starter.expect(note);
    }
    let pen = starter.start();
    assert_eq!(pen.letter(), "A", "{options:?}");
    let messages = pen.messages();
    for note in notes {
        let told = messages.iter().filter(|line| line.contains(note)).count();
        let wanted = notes.iter().filter(|other| *other == note).count();
        assert_eq!(told, wanted, "{note}: {messages:?}");
    }
}

#[test]
fn without_operands_comes_the_usage() {
    let (status, stdout, stderr) = run([""; 0]);
    assert_eq!(status, 0);
    assert!(stdout.starts_with("usage:"), "{stdout}");
    assert!(stderr.is_empty() || worse(&CHATTER), "{stderr}");
    // Whoever has said something may have meant more.
    for words in [&["-r"][..], &["-x", "7", "-d"], &["--check", "-r"]] {
        better!(WRONG_WORD);
        let (status, stdout, stderr) = run(words);
        assert_eq!((status, stdout.as_str()), (1, ""), "{words:?}");
        assert!(stderr.starts_with("usage:"), "{stderr}");
        assert!(stderr.ends_with("pen: fatal: no address to listen on\n"), "{stderr}");
    }
}

/// A terminal has 80 columns.
#[test]
fn no_line_of_a_help_is_wider_than_79() {
    better!(LONG_OPTIONS);
    for name in ["pen", "penctl", "penlog", "penlogd", "mergelogs"] {
        let mut command = std::process::Command::new(program(name));
        command.arg("--help");
        let help = String::from_utf8(finish(command).stdout).unwrap();
        assert!(!help.is_empty(), "{name}");
        for line in help.lines() {
            assert!(line.chars().count() <= 79, "{name}: {line}");
        }
    }
}

#[test]
fn help_version_and_windows() {
    better!(LONG_OPTIONS);
    let (status, help, stderr) = run(["--help"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert_eq!(help, run([""; 0]).1);
    for option in ["-B host:port", "-x number", "--check", "--version"] {
        assert!(help.contains(option), "{help}");
    }
    assert!(help.ends_with("\nMore: man pen\n"), "{help}");
    let version = format!("pen {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(["--version"]), (0, version, String::new()));
    // They win over everything behind them.
    assert_eq!(run(["--help", "--nonsense"]).0, 1);
    assert_eq!(run(["--help", "-x", "abc"]).0, 0);
    let (status, stdout, stderr) = run(["-i", "service", "80", "h"]);
    assert_eq!((status, stderr.as_str()), (0, ""));
    assert!(stdout.contains("Windows"), "{stdout}");
}

#[test]
fn obsolete_options_are_noted_and_ignored() {
    let notes = match is_c_pen() {
        true => ["-D option", "-n option", "-Q option", "-S option", "-S option"],
        false => ["-D is", "-n is", "-Q is", "-S is", "-S is"],
    };
    serves(&["-D", "-nQ", "-S", "10", "-S10"], &notes);
}

#[test]
fn low_numbers_are_raised_with_a_note() {
    for (words, ours, theirs) in [
        (["-m", "0"], "-m 0: too low, 1 is used", "multi_accept bumped to 1"),
        (["-m", "-3"], "-m -3: too low, 1 is used", "multi_accept bumped to 1"),
        (["-q", "7"], "-q 7: too low, 50 is used", "listen_queue bumped to 50"),
    ] {
        serves(&words, &[if is_c_pen() { theirs } else { ours }]);
    }
}

#[test]
fn options_without_effect_are_taken_in_silence() {
    serves(&["-P", "-m", "20", "-q", "50", "-a"], &[]);
    if !better(&LONG_OPTIONS) {
        serves(&["--no-batch"], &[]);
    }
}

#[test]
fn commands_act_where_they_stand() {
    // Without operands it ends: with the usage, behind what was asked for.
    let said = |words: &[&str]| {
        let (status, stdout, stderr) = run(words);
        let wanted = if worse(&WRONG_WORD) { 0 } else { 1 };
        assert_eq!(status, wanted, "{words:?}");
        assert!(format!("{stdout}{stderr}").contains("usage:"));
        let (replies, _) = stdout.split_once("usage:").unwrap_or((&stdout, ""));
        replies.to_owned()
    };
    let modes =
        said(&["-O", "mode", "-r", "-O", "mode", "-o", "no roundrobin", "-hsW", "-o", "mode"]);
    let wanted = "no hash no roundrobin no stubborn no weight no prio\n\
                  no hash roundrobin no stubborn no weight no prio\n\
                  hash no roundrobin stubborn weight no prio\n";
    assert_eq!(modes, wanted);
    let last = |words: &[&str]| said(words).lines().last().map(str::to_owned);
    assert_eq!(last(&["-b", "5", "-O", "blacklist 7", "-O", "blacklist"]), Some("7".to_owned()));
    assert_eq!(last(&["-O", "blacklist 7", "-b", "5", "-O", "blacklist"]), Some("5".to_owned()));
    let wanted = if worse(&REPEATED) { "500" } else { "9" };
    assert_eq!(last(&["-x500", "-x", "7", "-x9", "-O", "conn_max"]), Some(wanted.to_owned()));
    assert_eq!(last(&["-dd", "-rd", "-O", "debug"]), Some("3".to_owned()));
    // What was said before a later word is refused has been said.
    if !better(&WRONG_WORD) {
        let (status, stdout, _) = check(&["-O", "mode", "-x", "abc"]);
        assert_eq!((status, stdout.lines().count()), (1, 1));
    }
}

/// The settings that a running pen shows.
fn settings(pen: &Pen) -> String {
    let shown = ["mode", "conn_max", "blacklist", "timeout", "tracking", "clients_max"];
    shown.map(|line| pen.ask(line)).concat()
}

#[test]
fn options_and_operands_mix() {
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let at = host.at();
    // Clusters, attached and free values, before, between and behind operands.
    let pen = Starter::at(at.clone())
        .listen_word("-rs".to_owned())
        .operand(at.to_string())
        .operand("-x7")
        .server(&servers[0].at)
        .args(["-b", "11", "-b12"])
        .operand("-T")
        .operand("13")
        .server(&servers[1].at)
        .operand("-Wc3")
        .operand("-t4")
        .control()
        .start();
    let wanted = "no hash roundrobin stubborn weight no prio\n7\n12\n4\n13\n3\n";
    assert_eq!(settings(&pen), wanted);
    let list = pen.ask("servers");
    for (line, server) in list.lines().zip(&servers) {
        let port = format!(" port {} ", server.at.inet().port());
        assert!(line.contains(&port), "{list}");
    }
    assert_eq!(list.lines().count(), 2, "{list}");
}

#[test]
fn a_server_without_a_port_has_the_listening_port() {
    let host = Host::new();
    let at = host.at();
    let other = Host::new();
    let same_port = At::Inet((other.ip, at.inet().port()).into());
    let _server = Backend::letter(same_port.clone(), 'A');
    let pen = Starter::at(at).operand(other.ip.to_string()).start();
    assert_eq!(pen.letter(), "A");
    drop(pen);
    // So has an abuse server, wherever its option stands.
    let at = At::Inet((host.ip, same_port.inet().port()).into());
    let pen = Starter::at(at)
        .args(["-B", &other.ip.to_string()])
        .args(["-O", "acl 3 deny 127.0.0.1", "-O", "client_acl 3"])
        .absent()
        .start();
    assert_eq!(pen.letter(), "A");
}

#[test]
fn names_of_hosts_and_services() {
    let services = fs::read_to_string("/etc/services").unwrap_or_default();
    if !services.contains("smtp") {
        return skipped("no /etc/services here");
    }
    let dir = Dir::new();
    let at = At::Unix(dir.file("pen.sock"));
    let pen = Starter::at(at)
        .operand("localhost:smtp:3:4:5:6")
        .operand("127.0.0.1:http")
        .control()
        .start();
    let wanted = "0 addr 127.0.0.1 port 25 conn 0 max 3 hard 4 weight 5 prio 6 sx 0 rx 0\n\
                  1 addr 127.0.0.1 port 80 conn 0 max 0 hard 0 weight 0 prio 0 sx 0 rx 0\n";
    assert_eq!(pen.server_list(), wanted);
}

#[test]
fn check_opens_nothing() {
    better!(LONG_OPTIONS);
    let (host, dir) = (Host::new(), Dir::new());
    let busy = TcpListener::bind(host.addr()).unwrap();
    let address = busy.local_addr().unwrap().to_string();
    let name = |file: &str| dir.file(file).display().to_string();
    let (pid, log, page, socket) = (name("pid"), name("log"), name("page"), name("socket"));
    let files = ["-p", &pid, "-l", &log, "-w", &page, "-C", &address, "-u", "root"];
    let silent = (0, String::new(), String::new());
    for listen in [&address, &socket] {
        let words = [&["--check"], &files[..], &[listen, "127.0.0.1:9"]].concat();
        assert_eq!(run(words), silent);
    }
    assert_eq!(dir.names(), [""; 0]);
}

#[test]
fn check_tells_what_is_wrong() {
    better!(LONG_OPTIONS);
    let dir = Dir::new();
    let config = dir.file("pen.cfg");
    let config = config.to_str().unwrap();
    fs::write(config, "# fine\nno hash\nacl 1 foo\n").unwrap();
    let states = ["/nonexistent/state", "/proc", config].map(|path| {
        let name = format!("state{}", path.len());
        dir.put(&name, format!("state {path}\n")).display().to_string()
    });
    for (words, parts) in [
        (["-u", "no-such-user"], ["-u", "no-such-user"]),
        (["-j", "/nonexistent/jail"], ["-j", "/nonexistent/jail"]),
        (["-F", "/nonexistent/pen.cfg"], ["read", "/nonexistent/pen.cfg"]),
        (["-F", config], [config, "line 3"]),
        (["-e", "bad..host:80"], ["-e", "bad..host"]),
        (["-l", "bad..host:80"], ["bad..host:80", "cannot find"]),
        (["-l", "/nonexistent/log"], ["-l", "/nonexistent/log"]),
        (["-p", "/nonexistent/pid"], ["-p", "/nonexistent/pid"]),
        (["-F", &states[0]], ["state", "/nonexistent/state"]),
        (["-F", &states[1]], ["/proc", "not a regular file"]),
        (["-F", &states[2]], [config, "not one of saved clients"]),
        (["-C", "/nonexistent/ctl"], ["-C", "/nonexistent/ctl"]),
    ] {
        let (status, stdout, stderr) = check(&words);
        assert_eq!((status, stdout.as_str()), (1, ""), "{words:?}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let named = parts.iter().all(|part| stderr.contains(part));
        assert!(named, "{words:?}: {stderr}");
    }
}

/// What pen takes, though it was hardly meant: the start and a check say so.
#[test]
fn what_was_hardly_meant_is_said() {
    better!(LONG_OPTIONS);
    for (words, doubt) in [
        (&["127.0.0.1:9"][..], "no servers: clients are turned away"),
        (&["127.0.0.1:9", "127.0.0.1:0"], "no servers: "),
        (&["-x", "28300", "127.0.0.1:80"], "as -x takes 28300 for its value"),
        (&["-p", "8080", "127.0.0.1:80"], "as -p takes 8080 for its value"),
        (&["127.0.0.1:80", "8080"], "write host:8080"),
        // TEST-NET-3, nobody's address (RFC 5737).
        (&["203.0.113.1:80", "127.0.0.1:9"], "pen listens on the first operand"),
        (&["127.0.0.1:9", "127.0.0.2:9"], ""),
        (&["-e", "127.0.0.2:9", "127.0.0.1:9"], ""),
        (&["-O", "dummy", "127.0.0.1:9"], ""),
        (&["-x", "500", "127.0.0.1:9", "127.0.0.2:9"], ""),
    ] {
        let (status, stdout, stderr) = run([&["--check"], words].concat());
        assert_eq!((status, stdout.as_str()), (0, ""), "{words:?}");
        let lines = usize::from(!doubt.is_empty());
        assert_eq!(stderr.lines().count(), lines, "{words:?}: {stderr}");
        assert!(stderr.contains(doubt), "{words:?}: {stderr}");
    }
    let host = Host::new();
    Starter::on(&host).start().says("no servers: ");
}

#[test]
fn a_check_says_what_root_does_not_open() {
    better!(LONG_OPTIONS);
    let words = ["--check", "--web", "8081", "-C", "9000", "127.0.0.1:9", "127.0.0.2:9"];
    let (status, _, stderr) = run(words);
    assert_eq!(status, 0);
    for listener in ["web 127.0.0.1:8081: not opened", "-C 9000: not opened"] {
        assert_eq!(stderr.contains(listener), is_root(), "{stderr}");
    }
}

#[test]
fn a_server_with_port_0_is_an_empty_slot() {
    better!(EMPTY_SLOT);
    let pen = Starter::new()
        .args(["-r", "-O", "server 2 address 127.0.0.1 port 0"])
        .operand("127.0.0.1:0")
        .letters(1)
        .control()
        .start();
    assert_eq!(pen.letters(4), "AAAA");
    let list = pen.ask("servers");
    for (index, line) in list.lines().enumerate().filter(|(index, _)| *index != 1) {
        assert!(line.starts_with(&format!("{index} addr 127.0.0.1 port 0 ")), "{list}");
    }
}

#[test]
fn a_configuration_can_say_everything() {
    let host = Host::new();
    let servers = Backend::letters(&host, 2);
    let at = host.at();
    let mut text = format!("# all of it\n\nlisten {at}\nroundrobin\n");
    for (index, server) in servers.iter().enumerate() {
        text += &format!("server {index} {}\n", server.at.words());
    }
    let config = host.dir.put("pen.cfg", text);
    // Nothing but options on the command line.
    let starter = Starter::at(at).listen_word("-F".to_owned()).operand(config.display());
    assert_eq!(starter.control().start().letters(3), "BAB");
}
