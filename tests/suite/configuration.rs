//! Configuration files: `-F`, `include`, HUP and `write`.

use crate::differences::{LONG_OPTIONS, SIZES, WRITE};
use crate::stand::{
    At, Dir, Host, Starter, better, letters, pen_program, responders, run, wait_until, worse,
};
use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

#[test]
fn a_file_sets_what_options_do_not() {
    let host = Host::new();
    let backends = letters(&host, 2);
    let dir = Dir::new();
    let file = dir.file("pen.cfg");
    let [a, b] = [&backends[0], &backends[1]].map(|backend| backend.at.inet());
    let text = format!(
        "# two servers\n\nroundrobin\nserver 0 address {} port {}\nserver 1 address {} port {}\n",
        a.ip(),
        a.port(),
        b.ip(),
        b.port()
    );
    fs::write(&file, text).unwrap();
    let pen = Starter::new(&host).args(["-F", file.to_str().unwrap()]).start();
    assert_eq!(pen.letters(3), "BAB");
}

/// pen listens where the file says, if the command line does not.
#[test]
fn a_file_says_where_to_listen() {
    if better(&LONG_OPTIONS) {
        return; // it has no --check
    }
    let host = Host::new();
    let dir = Dir::new();
    let file = dir.file("pen.cfg");
    let at = host.at();
    fs::write(&file, format!("listen {at}\n")).unwrap();
    // A check says what is wrong and nothing else.
    let (status, stdout, _) = run(["--check", "-F", file.to_str().unwrap()]);
    assert_eq!((status, stdout.as_str()), (0, ""));
    fs::write(&file, "hash\n").unwrap();
    let (status, _, stderr) = run(["--check", "-F", file.to_str().unwrap()]);
    assert_eq!(status, 1);
    assert!(stderr.starts_with("usage:"), "{stderr}");
}

#[test]
fn every_bad_line_is_named_and_the_start_fails() {
    better!(BAD_LINE);
    let dir = Dir::new();
    let (file, more) = (dir.file("pen.cfg"), dir.file("more.cfg"));
    let name = |path: &std::path::Path| path.display().to_string();
    fs::write(&file, format!("hash\nfoo\ninclude {}\nblacklist x\n", name(&more))).unwrap();
    fs::write(&more, format!("prio\nno bar\ninclude {}\n", name(&file))).unwrap();
    let (status, stdout, stderr) = run(["-f", "-F", &name(&file), "127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    let lines: Vec<&str> = stderr.lines().collect();
    let wanted = [
        format!("{}, line 2: foo: no such command (help lists them)", name(&file)),
        format!("{}, line 2: bar: no such command (help lists them)", name(&more)),
        format!("{}, line 3: {}: includes itself", name(&more), name(&file)),
        format!("{}, line 4: blacklist: bad number 'x', expected [seconds]", name(&file)),
    ];
    assert_eq!(lines, wanted.map(|line| format!("pen: fatal: {line}")));
}

/// The tables may be smaller than they are by default.
#[test]
fn a_file_or_an_option_sets_the_sizes_of_the_tables() {
    let (host, dir) = (Host::new(), Dir::new());
    let file = dir.file("pen.cfg");
    fs::write(&file, "conn_max 100\nconn_max 80\nclients_max 50\n").unwrap();
    let sizes = |words: &[&str]| {
        let pen = Starter::new(&host).args(words).control(host.at()).start();
        ["conn_max", "clients_max"].map(|name| pen.ask(name).trim().to_owned())
    };
    let file = file.to_str().unwrap();
    assert_eq!(sizes(&[]), ["500", "2048"]);
    assert_eq!(sizes(&["-F", file]), ["100", "50"]);
    assert_eq!(sizes(&["-O", "conn_max 7", "-O", "clients_max 9"]), ["7", "9"]);
    assert_eq!(sizes(&["-O", "conn_max 7", "-O", "conn_max 9"]), ["9", "2048"]);
    assert_eq!(sizes(&["-x", "300", "-c", "200", "-F", file]), ["300", "200"]);
    if !worse(&SIZES) {
        assert_eq!(sizes(&["-F", file, "-x", "30", "-c", "20"]), ["30", "20"]);
    }
}

/// Whoever edits the second line of a written file means what is put there,
/// and not only until the next HUP.
#[test]
fn an_option_holds_against_what_was_written() {
    better!(SIZES);
    let (host, dir) = (Host::new(), Dir::new());
    let file = dir.file("pen.cfg");
    let pen = Starter::new(&host)
        .args(["-x", "66", "-c", "77", "-e", "127.0.0.1:1", "-B", "127.0.0.1:2"])
        .control(host.at())
        .start();
    pen.ask(&format!("write {}", file.display()));
    drop(pen);
    let pen = Starter::new(&host)
        .args(["-x", "6", "-c", "7", "-e", "127.0.0.1:3", "-B", "127.0.0.1:4"])
        .args(["-F", file.to_str().unwrap()])
        .control(host.at())
        .expect("reloading on HUP")
        .start();
    let names = ["conn_max", "clients_max", "emergency", "abuse"];
    let shown = || names.map(|name| pen.ask(name));
    let wanted = ["6\n", "7\n", "127.0.0.1:3\n", "127.0.0.1:4\n"];
    assert_eq!(shown(), wanted);
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text + "blacklist 9\n").unwrap();
    pen.signal("HUP");
    wait_until("it is read again", || pen.ask("blacklist") == "9\n");
    assert_eq!(shown(), wanted);
    // Who asks for more on the control port gets it.
    assert_eq!(pen.ask("conn_max 8"), "8\n");
}

/// Words behind a command are ignored, with a note, as is what is no command
/// in `-O`: lines like these are in files that the C program reads.
#[test]
fn what_is_too_much_is_ignored() {
    let (host, dir) = (Host::new(), Dir::new());
    let file = dir.file("pen.cfg");
    let text = "# comment\n; comment\nserver 0 address 127.0.0.1 port 9 # web\n\
                server 0 max 5 weight 2 ; web\nblacklist 44 # seconds\ntimeout 7 seconds\n\
                roundrobin yes\nacl 1 permit 10.0.0.0 255.0.0.0 # ten\nno log # no\n";
    fs::write(&file, text).unwrap();
    let pen = Starter::new(&host)
        .args(["-O", "servr 1", "-O", "hash yes", "-F", file.to_str().unwrap()])
        .control(host.at())
        .expect("-O servr 1: ignored: servr: no such command (did you mean server?)")
        .expect(" ignored, expected ")
        .start();
    pen.says("-O servr 1: ");
    pen.says("-O hash yes: hash: 'yes' ignored, expected no argument");
    pen.says("pen.cfg, line 4: server: '; web' ignored, expected index");
    pen.says("pen.cfg, line 6: timeout: 'seconds' ignored, expected [seconds]");
    pen.says("pen.cfg, line 7: roundrobin: 'yes' ignored, expected no argument");
    let servers = pen.ask("servers");
    let wanted = "0 addr 127.0.0.1 port 9 conn 0 max 5 hard 0 weight 2 prio 0 ";
    assert!(servers.starts_with(wanted), "{servers}");
    assert_eq!(pen.ask("mode"), "hash roundrobin no stubborn no weight no prio\n");
    assert_eq!([pen.ask("blacklist"), pen.ask("timeout")], ["44\n", "7\n"]);
}

#[test]
fn an_access_list_takes_addresses_as_inet_aton_does() {
    let (host, dir) = (Host::new(), Dir::new());
    let pen = Starter::new(&host).control(host.at()).start();
    for line in ["0 0", "127.1", "10.1 255.255", "010.1.1.1", "0x7f.2"] {
        assert_eq!(pen.ask(&format!("acl 1 permit {line}")), "");
    }
    let file = dir.file("pen.cfg");
    pen.ask(&format!("write {}", file.display()));
    let text = fs::read_to_string(&file).unwrap();
    let list = "no acl 1\n\
                acl 1 permit 0.0.0.0 0.0.0.0\n\
                acl 1 permit 127.0.0.1 255.255.255.255\n\
                acl 1 permit 10.0.0.1 255.0.0.255\n\
                acl 1 permit 8.1.1.1 255.255.255.255\n\
                acl 1 permit 127.0.0.2 255.255.255.255\n\
                no acl 2\n";
    assert!(text.contains(list), "{text}");
}

/// `write`, stop, start from the second comment line: everything is as it was.
#[test]
fn what_is_written_restores_everything() {
    better!(WRITE);
    let host = Host::new();
    let dir = Dir::new();
    let (file, again) = (dir.file("pen.cfg"), dir.file("again.cfg"));
    let control = host.at();
    let pen = Starter::new(&host)
        .args(["-X", "-c", "77", "-x", "66", "-q", "55", "-e", "127.0.0.1:9", "-N"])
        .args(["-B", "[::1]:8:7", "-b", "6", "-t", "5", "-T", "4", "-a", "-hrsW"])
        .operand("127.0.0.1:1001:10:20:3:4".to_owned())
        .operand("/nonexistent/server".to_owned())
        .control(control.clone())
        .start();
    for line in [
        "acl 2 permit 10.1.2.3 255.255.0.0",
        "acl 2 deny fd00::/8",
        "client_acl 3",
        "control_acl 4",
        "server 4 address ::1 port 25 acl 2",
        "dummy",
        "idle_timeout 99",
        "half_closed_timeout 98",
        "client_keepalive 97",
        "idlers 2",
        "keepalive",
        "no tcp_nodelay",
        "prio",
        "source 127.0.0.7",
        "tcp_fastclose both",
        "hash_type modulo",
        "udp_balance datagram",
        &format!("log {}", dir.file("log").display()),
        &format!("conn_log {}", dir.file("conn.log").display()),
        &format!("web_stats {}", dir.file("page.html").display()),
    ] {
        let reply = pen.ask(line);
        assert!(!reply.contains("expected"), "{reply}");
    }
    pen.ask(&format!("write {}", file.display()));
    let questions = [
        "servers",
        "mode",
        "clients_max",
        "conn_max",
        "log",
        "web_stats",
        "udp_balance",
        "hash_type",
    ];
    let before = questions.map(|question| pen.ask(question));
    let at = pen.at.clone();
    drop(pen);

    let text = fs::read_to_string(&file).unwrap();
    let words = text.lines().nth(1).unwrap().strip_prefix("# pen ").unwrap();
    let words: Vec<String> = words.split(' ').map(|word| word.replace('\'', "")).collect();
    // Programs that know the C program's line find their words where they were.
    let listen = words.iter().position(|word| *word == at.to_string()).unwrap();
    assert_eq!(words[listen - 2..listen], ["-C", &control.to_string()]);
    assert_eq!(words[listen + 1..], ["-N", "-q", "55"]);
    // The stand says these itself.
    let words = [&words[..listen], &words[listen + 1..]].concat();
    let words = words.iter().filter(|word| *word != "-f");
    let pen = Starter::at(at).args(words).control(control).start();
    pen.ask(&format!("write {}", again.display()));
    assert_eq!(questions.map(|question| pen.ask(question)), before);
    // But for the time and the file's own name nothing differs.
    let settings = |path| {
        let text = fs::read_to_string(path).unwrap();
        text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(settings(&file), settings(&again));
    assert!(settings(&file).len() > 40);
}

/// As for TCP, but what listens is a UDP socket.
#[test]
fn what_is_written_with_udp_is_with_udp_again() {
    better!(WRITE);
    let host = Host::new();
    let servers = responders(&host, 2);
    let dir = Dir::new();
    let file = dir.file("pen.cfg");
    let pen = Starter::datagrams(&host)
        .args(["-r", "-O", "udp_balance datagram"])
        .servers(&servers)
        .control(host.at())
        .start();
    pen.ask(&format!("write {}", file.display()));
    let at = pen.at.clone();
    drop(pen);
    let text = fs::read_to_string(&file).unwrap();
    let words = text.lines().nth(1).unwrap().strip_prefix("# pen ").unwrap();
    let (words, _) = words.rsplit_once(' ').unwrap();
    let words = words.replace('\'', "");
    let pen = Starter::at(at).args(words.split(' ')).start();
    let letters = pen.asker().letters(4);
    assert!(["ABAB", "BABA"].contains(&letters.as_str()), "{letters}");
}

#[test]
fn a_file_that_cannot_be_written_stays_as_it_is() {
    let host = Host::new();
    let dir = Dir::new();
    let pen = Starter::new(&host).control(host.at()).start();
    // Whoever has the file open, or another name of it, keeps the old one.
    let (file, name) = (dir.file("file"), dir.file("name"));
    fs::write(&file, "precious").unwrap();
    fs::hard_link(&file, &name).unwrap();
    assert_eq!(pen.ask(&format!("write {}", file.display())), "");
    let text = fs::read_to_string(&file).unwrap();
    assert!(text.starts_with("# Generated"), "{text}");
    assert_eq!(dir.names().len(), 2, "{:?}", dir.names());
    let text = fs::read_to_string(&name).unwrap();
    if worse(&WRITE) {
        assert!(text.starts_with("# Generated"), "{text}");
        return;
    }
    assert_eq!(text, "precious");
    let reply = pen.ask("write");
    assert!(reply.contains("no file given"), "{reply}");
    let reply = pen.ask("write /nonexistent/pen.cfg");
    assert!(reply.contains("/nonexistent/pen.cfg"), "{reply}");
}

#[test]
fn a_file_can_be_a_pipe() {
    better!(LONG_OPTIONS);
    let mut command = Command::new(pen_program());
    command.args(["--check", "-F", "/dev/stdin", "10000", "127.0.0.1:9"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"hash\nmode x\n").unwrap();
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("/dev/stdin, line 2: mode: "), "{output:?}");
}

/// Where a path is meant, a path can be given.
#[test]
fn a_unix_socket_server_is_written_and_read() {
    let host = Host::new();
    let dir = Dir::new();
    let path = dir.file("server");
    let backend = crate::stand::Backend::letter(At::Unix(path.clone()), 'U');
    let pen = Starter::new(&host).control(host.at()).start();
    assert_eq!(pen.ask(&format!("server 0 address {}", path.display())), "");
    assert_eq!(pen.letter(), "U");
    let file = dir.file("pen.cfg");
    pen.ask(&format!("write {}", file.display()));
    let text = fs::read_to_string(&file).unwrap();
    let line = format!("server 0 acl 0 address {} port 1 ", path.display());
    assert!(text.contains(&line), "{text}");
    drop(backend);
}

#[test]
fn a_file_includes_another() {
    let host = Host::new();
    let backends = letters(&host, 2);
    let dir = Dir::new();
    let [file, more] = ["pen.cfg", "more.cfg"].map(|name| dir.file(name));
    let text = format!("roundrobin\ninclude {}\nblacklist 7\n", more.display());
    fs::write(&file, text).unwrap();
    let at = backends[1].at.inet();
    let text = format!("server 1 address {} port {}\n", at.ip(), at.port());
    fs::write(&more, text).unwrap();
    let pen = Starter::new(&host)
        .args(["-F", file.to_str().unwrap()])
        .servers(&backends[..1])
        .control(host.at())
        .start();
    assert_eq!(pen.letters(3), "BAB");
    assert_eq!(pen.ask("blacklist"), "7\n");
    // Also while it runs.
    fs::write(&more, "hash\nprio\n").unwrap();
    assert_eq!(pen.ask(&format!("include {}", more.display())), "");
    let mode = "hash roundrobin no stubborn no weight prio\n";
    assert_eq!(pen.ask("mode"), mode);
}
