//! Configuration files: `-F`, `include`, HUP and `write`.

use crate::differences::{SIZES, WRITE};
use crate::stand::{
    At, Backend, Dir, Host, Pen, Starter, better, pen_program, run, wait_until, worse,
};
use std::fs;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn a_file_sets_what_options_do_not() {
    let starter = Starter::new();
    let [a, b] = ['A', 'B'].map(|letter| Backend::letter(starter.host.at(), letter));
    let servers = format!("server 0 {}\nserver 1 {}\n", a.at.words(), b.at.words());
    let pen = starter.config(format!("# two servers\n\nroundrobin\n{servers}")).start();
    assert_eq!(pen.letters(3), "BAB");
}

/// pen listens where the file says, if the command line does not.
#[test]
fn a_file_says_where_to_listen() {
    better!(LONG_OPTIONS);
    let host = Host::new();
    let check = |text: &str| {
        let file = host.dir.put("pen.cfg", text);
        run(["--check", "-F", file.to_str().unwrap()])
    };
    // A check says what is wrong and nothing else.
    let (status, stdout, _) = check(&format!("listen {}\n", host.at()));
    assert_eq!((status, stdout.as_str()), (0, ""));
    let (status, _, stderr) = check("hash\n");
    assert_eq!(status, 1);
    assert!(stderr.starts_with("usage:"), "{stderr}");
}

#[test]
fn every_bad_line_is_named_and_the_start_fails() {
    better!(BAD_LINE);
    let dir = Dir::new();
    let [file, more] = ["pen.cfg", "more.cfg"].map(|name| dir.file(name).display().to_string());
    dir.put("pen.cfg", format!("hash\nfoo\ninclude {more}\nblacklist x\n"));
    dir.put("more.cfg", format!("prio\nno bar\ninclude {file}\n"));
    let (status, stdout, stderr) = run(["-f", "-F", &file, "127.0.0.1:1", "127.0.0.1:2"]);
    assert_eq!((status, stdout.as_str()), (1, ""));
    let wanted = [
        format!("{file}, line 2: foo: no such command (help lists them)"),
        format!("{more}, line 2: bar: no such command (help lists them)"),
        format!("{more}, line 3: {file}: includes itself"),
        format!("{file}, line 4: blacklist: bad number 'x', expected [seconds]"),
    ];
    let lines: Vec<&str> = stderr.lines().collect();
    assert_eq!(lines, wanted.map(|line| format!("pen: fatal: {line}")));
}

/// The tables may be smaller than they are by default.
#[test]
fn a_file_or_an_option_sets_the_sizes_of_the_tables() {
    let sizes = |starter: Starter| {
        let pen = starter.control().start();
        ["conn_max", "clients_max"].map(|name| pen.ask(name).trim().to_owned())
    };
    let file = "conn_max 100\nconn_max 80\nclients_max 50\n";
    let new = Starter::new;
    assert_eq!(sizes(new()), ["500", "2048"]);
    assert_eq!(sizes(new().config(file)), ["100", "50"]);
    assert_eq!(sizes(new().args(["-O", "conn_max 7", "-O", "clients_max 9"])), ["7", "9"]);
    assert_eq!(sizes(new().args(["-O", "conn_max 7", "-O", "conn_max 9"])), ["9", "2048"]);
    assert_eq!(sizes(new().args(["-x", "300", "-c", "200"]).config(file)), ["300", "200"]);
    if !worse(&SIZES) {
        assert_eq!(sizes(new().config(file).args(["-x", "30", "-c", "20"])), ["30", "20"]);
    }
}

/// Whoever edits the second line of a written file means what is put there,
/// and not only until the next HUP.
#[test]
fn an_option_holds_against_what_was_written() {
    better!(SIZES);
    let start = |[conn, clients, emergency, abuse]: [&str; 4], text: &str| {
        let args = ["-x", conn, "-c", clients, "-e", emergency, "-B", abuse];
        Starter::new().args(args).config(text).control().start()
    };
    let text = start(["66", "77", "127.0.0.1:1", "127.0.0.1:2"], "").written();
    let wanted = ["6", "7", "127.0.0.1:3", "127.0.0.1:4"];
    let pen = start(wanted, &text);
    let names = ["conn_max", "clients_max", "emergency", "abuse"];
    let shown = || names.map(|name| pen.ask(name).trim_end().to_owned());
    assert_eq!(shown(), wanted);
    fs::write(pen.file("pen.cfg"), text + "blacklist 9\n").unwrap();
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
    let text = "# comment\n; comment\nserver 0 address 127.0.0.1 port 9 # web\n\
                server 0 max 5 weight 2 ; web\nblacklist 44 # seconds\ntimeout 7 seconds\n\
                roundrobin yes\nacl 1 permit 10.0.0.0 255.0.0.0 # ten\nno log # no\n";
    let pen = Starter::new()
        .args(["-O", "servr 1", "-O", "hash yes"])
        .config(text)
        .control()
        .expect("-O servr 1: ignored: servr: no such command (did you mean server?)")
        .expect(" ignored, expected ")
        .start();
    for note in [
        "-O servr 1: ",
        "-O hash yes: hash: 'yes' ignored, expected no argument",
        "pen.cfg, line 4: server: '; web' ignored, expected index",
        "pen.cfg, line 6: timeout: 'seconds' ignored, expected [seconds]",
        "pen.cfg, line 7: roundrobin: 'yes' ignored, expected no argument",
    ] {
        pen.says(note);
    }
    let servers = pen.ask("servers");
    let wanted = "0 addr 127.0.0.1 port 9 conn 0 max 5 hard 0 weight 2 prio 0 ";
    assert!(servers.starts_with(wanted), "{servers}");
    assert_eq!(pen.ask("mode"), "hash roundrobin no stubborn no weight no prio\n");
    assert_eq!([pen.ask("blacklist"), pen.ask("timeout")], ["44\n", "7\n"]);
}

#[test]
fn an_access_list_takes_addresses_as_inet_aton_does() {
    let pen = Starter::new().control().start();
    for line in ["0 0", "127.1", "10.1 255.255", "010.1.1.1", "0x7f.2"] {
        assert_eq!(pen.ask(&format!("acl 1 permit {line}")), "");
    }
    let text = pen.written();
    let list = "no acl 1\n\
                acl 1 permit 0.0.0.0 0.0.0.0\n\
                acl 1 permit 127.0.0.1 255.255.255.255\n\
                acl 1 permit 10.0.0.1 255.0.0.255\n\
                acl 1 permit 8.1.1.1 255.255.255.255\n\
                acl 1 permit 127.0.0.2 255.255.255.255\n\
                no acl 2\n";
    assert!(text.contains(list), "{text}");
}

/// The words of the second comment line.
fn words(text: &str) -> Vec<String> {
    let words = text.lines().nth(1).unwrap().strip_prefix("# pen ").unwrap();
    words.split(' ').map(|word| word.replace('\'', "")).collect()
}

/// `write`, stop, start from the second comment line: everything is as it was.
#[test]
fn what_is_written_restores_everything() {
    better!(WRITE);
    let pen = Starter::new()
        .args(["-X", "-c", "77", "-x", "66", "-q", "55", "-e", "127.0.0.1:9", "-N"])
        .args(["-B", "[::1]:8:7", "-b", "6", "-t", "5", "-T", "4", "-a", "-hrsW"])
        .operand("127.0.0.1:1001:10:20:3:4")
        .operand("/nonexistent/server")
        .control()
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
        &format!("log {}", pen.file("log").display()),
        &format!("conn_log {}", pen.file("conn.log").display()),
        &format!("web_stats {}", pen.file("page.html").display()),
    ] {
        let reply = pen.ask(line);
        assert!(!reply.contains("expected"), "{reply}");
    }
    // Without the time and the line with the file's own name.
    let settings = |text: &str| text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>();
    let shown = |pen: &Pen| {
        [
            "servers",
            "mode",
            "clients_max",
            "conn_max",
            "log",
            "web_stats",
            "udp_balance",
            "hash_type",
        ]
        .map(|question| pen.ask(question))
    };
    let (text, before) = (pen.written(), shown(&pen));
    let (at, control, host) = (pen.at.clone(), pen.control().clone(), pen.host.clone());
    drop(pen);

    let words = words(&text);
    // Programs that know the C program's line find their words where they were.
    let listen = words.iter().position(|word| *word == at.to_string()).unwrap();
    assert_eq!(words[listen - 2..listen], ["-C", &control.to_string()]);
    assert_eq!(words[listen + 1..], ["-N", "-q", "55"]);
    // The stand says these itself.
    let words = [&words[..listen], &words[listen + 1..]].concat();
    let words = words.iter().filter(|word| *word != "-f");
    let pen = Starter::at(at).args(words).control_at(control).start();
    assert_eq!(shown(&pen), before);
    let again = settings(&pen.written());
    assert_eq!(settings(&text), again);
    assert!(again.len() > 40);
    drop(host);
}

/// As for TCP, but what listens is a UDP socket.
#[test]
fn what_is_written_with_udp_is_with_udp_again() {
    better!(WRITE);
    let starter = Starter::new().udp().args(["-r", "-O", "udp_balance datagram"]).letters(2);
    let mut pen = starter.control().start();
    let (mut words, at, _host) = (words(&pen.written()), pen.at.clone(), pen.host.clone());
    let _servers = std::mem::take(&mut pen.servers);
    drop(pen);
    // Where it listens.
    words.pop();
    let letters = Starter::at(at).args(words).start().asker().letters(4);
    assert!(["ABAB", "BABA"].contains(&letters.as_str()), "{letters}");
}

#[test]
fn a_file_that_cannot_be_written_stays_as_it_is() {
    let pen = Starter::new().control().start();
    // Whoever has the file open, or another name of it, keeps the old one.
    let (file, name) = (pen.host.dir.put("file", "precious"), pen.file("name"));
    fs::hard_link(&file, &name).unwrap();
    assert_eq!(pen.ask(&format!("write {}", file.display())), "");
    assert!(pen.text("file").starts_with("# Generated"));
    let names = pen.host.dir.names();
    assert_eq!(names.len(), 2, "{names:?}");
    if worse(&WRITE) {
        assert!(pen.text("name").starts_with("# Generated"));
        return;
    }
    assert_eq!(pen.text("name"), "precious");
    for (line, part) in
        [("write", "no file given"), ("write /nonexistent/pen.cfg", "/nonexistent/pen.cfg")]
    {
        let reply = pen.ask(line);
        assert!(reply.contains(part), "{reply}");
    }
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
    let pen = Starter::new().control().start();
    let path = pen.file("server");
    let _backend = Backend::letter(At::Unix(path.clone()), 'U');
    assert_eq!(pen.ask(&format!("server 0 address {}", path.display())), "");
    assert_eq!(pen.letter(), "U");
    let line = format!("server 0 acl 0 address {} port 1 ", path.display());
    let text = pen.written();
    assert!(text.contains(&line), "{text}");
}

#[test]
fn a_file_includes_another() {
    let starter = Starter::new().letters(1);
    let second = Backend::letter(starter.host.at(), 'B');
    let more = starter.host.dir.put("more.cfg", format!("server 1 {}\n", second.at.words()));
    let include = |more: &Path| format!("include {}", more.display());
    let text = format!("roundrobin\n{}\nblacklist 7\n", include(&more));
    let pen = starter.config(text).control().start();
    assert_eq!(pen.letters(3), "BAB");
    assert_eq!(pen.ask("blacklist"), "7\n");
    // Also while it runs.
    fs::write(&more, "hash\nprio\n").unwrap();
    assert_eq!(pen.ask(&include(&more)), "");
    assert_eq!(pen.ask("mode"), "hash roundrobin no stubborn no weight prio\n");
}
