//! Reading the configuration again amid traffic: everything takes effect in one
//! step, or nothing does, and nothing that a file can be holds anybody up.

use crate::differences::{BYTE_ORDER_MARK, RELOAD};
use crate::stand::{Backend, Client, Dir, Host, Pen, Starter, better, letters, wait_until, worse};
use std::fmt::Write as _;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// Has pen read the file again, and waits until it has.
fn reload(pen: &Pen, file: &Path, text: &str, round: usize) {
    // Each time another value, to see when it is in force.
    let seconds = 100 + round;
    fs::write(file, format!("{text}blacklist {seconds}\n")).unwrap();
    pen.signal("HUP");
    wait_until("the file is read", || pen.ask("blacklist") == format!("{seconds}\n"));
}

/// Reads the files in turn while clients come, and what they get.
fn letters_while_reloading(pen: &Pen, file: &Path, texts: &[String]) -> String {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers = [(); 4].map(|()| {
            scope.spawn(|| {
                let mut got = String::new();
                while !over.load(SeqCst) {
                    got += &Client::new(&pen.at).letter();
                }
                got
            })
        });
        for round in 0..40 {
            reload(pen, file, &texts[round % texts.len()], round);
        }
        over.store(true, SeqCst);
        callers.map(|caller| caller.join().unwrap()).concat()
    })
}

/// While a long list is exchanged for itself it is never seen short.
#[test]
fn a_denied_client_never_gets_in_meanwhile() {
    better!(RELOAD);
    let (host, dir) = (Host::new(), Dir::new());
    let backends = letters(&host, 1);
    let file = dir.file("pen.cfg");
    let mut list = "no acl 1\n".to_owned();
    for number in 0..4000 {
        let _ = writeln!(list, "acl 1 deny 10.0.{}.{}", number / 256, number % 256);
    }
    // The clients of this test are the last.
    list += "acl 1 deny 127.0.0.0 255.0.0.0\nacl 1 permit 0.0.0.0 0.0.0.0\nclient_acl 1\n";
    fs::write(&file, &list).unwrap();
    let pen = Starter::new(&host)
        .args(["-F", file.to_str().unwrap()])
        .servers(&backends)
        .control(host.at())
        .expect("reloading on HUP")
        .expect("denied by the access list")
        .expect("more messages like these")
        .start();
    assert_eq!(letters_while_reloading(&pen, &file, &[list]), "");
}

/// A server and the list that it has come together: nobody meets the one
/// without the other.
#[test]
fn servers_and_lists_change_together() {
    better!(RELOAD);
    let (host, dir) = (Host::new(), Dir::new());
    let backends = letters(&host, 2);
    let file = dir.file("pen.cfg");
    let [open, closed] = [0, 1].map(|index| {
        let at: SocketAddr = backends[index].at.inet();
        format!("server 0 address {} port {} acl 1\n", at.ip(), at.port())
    });
    let mut texts = Vec::new();
    // What stands between may take its time, and either may come first.
    let between =
        (0..300).fold(String::new(), |text, n| text + &format!("acl 2 deny 10.0.0.{n}\n"));
    let between = between.lines().take(256).fold(String::new(), |text, line| text + line + "\n");
    let (deny, permit) = ("no acl 1\nacl 1 deny 127.0.0.0 255.0.0.0\n", "no acl 1\n");
    texts.push(format!("{closed}{between}{deny}"));
    texts.push(format!("{permit}{between}{open}"));
    fs::write(&file, &texts[1]).unwrap();
    let pen = Starter::new(&host)
        .args(["-r", "-F", file.to_str().unwrap()])
        .control(host.at())
        .expect("reloading on HUP")
        .expect("no server available")
        .expect("more messages like these")
        .start();
    let letters = letters_while_reloading(&pen, &file, &texts);
    assert!(letters.contains('A') && !letters.contains('B'), "{letters}");
}

#[test]
fn a_file_with_an_error_changes_nothing() {
    let (host, dir) = (Host::new(), Dir::new());
    let (file, more, saved) = (dir.file("pen.cfg"), dir.file("more.cfg"), dir.file("saved.cfg"));
    let list = "acl 1 permit 10.0.0.0 255.0.0.0\n";
    fs::write(&file, list).unwrap();
    let pen = Starter::new(&host)
        .args(["-F", file.to_str().unwrap()])
        .operand("127.0.0.1:9".to_owned())
        .control(host.at())
        .expect("reloading on HUP")
        .expect("pen.cfg, line ")
        .expect("more.cfg, line ")
        .start();
    let settings = || {
        pen.ask(&format!("write {}", saved.display()));
        let text = fs::read_to_string(&saved).unwrap();
        text.lines().skip(2).map(str::to_owned).collect::<Vec<_>>()
    };
    let before = settings();
    let include = format!("include {}\n", more.display());
    fs::write(&more, "hash\nblacklist x\n").unwrap();
    let good = "no acl 1\nroundrobin\nserver 0 max 7\nserver 3 port 7\nconn_max 900\n";
    let read_again = || {
        let count = || pen.messages().iter().filter(|line| line.contains("reloading")).count();
        let before = count();
        pen.signal("HUP");
        if !worse(&RELOAD) {
            wait_until("it is read again", || count() > before);
        }
    };
    if worse(&RELOAD) {
        fs::write(&file, format!("{good}foo\n")).unwrap();
        read_again();
        wait_until("the good lines count", || pen.ask("mode").contains("no hash roundrobin"));
        return;
    }
    for (bad, complaint) in [
        ("foo\n", "pen.cfg, line 6: foo: no such command (help lists them)"),
        ("server 1 address bad..host\n", "pen.cfg, line 6: bad..host"),
        ("log /nonexistent/log\n", "pen.cfg, line 6: /nonexistent/log"),
        ("listen 192.0.2.1:80\n", "pen.cfg, line 6: 192.0.2.1:80"),
        ("include /nonexistent/more\n", "pen.cfg, line 6: /nonexistent/more"),
        (&include, "more.cfg, line 2: blacklist: bad number 'x'"),
    ] {
        let text = format!("{good}{bad}");
        fs::write(&file, &text).unwrap();
        read_again();
        pen.says(complaint);
        assert_eq!(settings(), before, "{text}");
        // What the control port is asked to include is no other thing.
        let reply = pen.ask(&format!("include {}", file.display()));
        assert!(reply.contains(complaint), "{reply}");
        assert_eq!(settings(), before, "{text}");
    }
    fs::write(&file, good).unwrap();
    read_again();
    wait_until("a good file counts", || pen.ask("conn_max") == "900\n");
    assert!(pen.ask("servers").contains(" max 7 "));
    assert!(pen.ask("servers").lines().count() == 4);
    assert!(settings().contains(&"roundrobin".to_owned()));
    assert!(!settings().iter().any(|line| line.starts_with("acl 1")));
}

/// A command with several changes makes all of them or none.
#[test]
fn a_command_with_an_error_changes_nothing() {
    better!(RELOAD);
    let host = Host::new();
    let pen = Starter::new(&host).operand("127.0.0.1:9".to_owned()).control(host.at()).start();
    let before = pen.ask("servers");
    for line in ["server 0 max 5 port no-such-port", "server 2 max 5 address bad..host"] {
        assert!(!pen.ask(line).is_empty(), "{line}");
        assert_eq!(pen.ask("servers"), before, "{line}");
    }
}

/// What was read before counts once more for nothing.
#[test]
fn entries_do_not_pile_up() {
    if better(&crate::differences::ACL_TWICE) {
        return;
    }
    let (host, dir) = (Host::new(), Dir::new());
    let (file, saved) = (dir.file("pen.cfg"), dir.file("saved.cfg"));
    let list = "acl 1 permit 10.0.0.0 255.0.0.0\nacl 1 deny 10.0.0.1\n".to_owned();
    fs::write(&file, &list).unwrap();
    let pen = Starter::new(&host)
        .args(["-F", file.to_str().unwrap()])
        .control(host.at())
        .expect("reloading on HUP")
        .start();
    (0..3).for_each(|round| reload(&pen, &file, &list, round));
    pen.ask(&format!("write {}", saved.display()));
    assert_eq!(fs::read_to_string(&saved).unwrap().matches("\nacl 1 ").count(), 2);
}

/// Servers that operands name are theirs at the start; read again, the file
/// counts. So it is with the C program.
#[test]
fn operands_hold_against_the_file_at_the_start() {
    let (host, dir) = (Host::new(), Dir::new());
    let backends: Vec<Backend> = letters(&host, 2);
    let file = dir.file("pen.cfg");
    let at = backends[1].at.inet();
    let address = format!("address {} port {}", at.ip(), at.port());
    let text = format!("server 0 {address} max 9 weight 8\nserver 1 {address} max 7\n");
    fs::write(&file, &text).unwrap();
    let pen = Starter::new(&host)
        .args(["-s", "-F", file.to_str().unwrap()])
        .operand(format!("{}:0:6", backends[0].at))
        .control(host.at())
        .expect("reloading on HUP")
        .start();
    let own = backends[0].at.inet();
    let line = |index, at: SocketAddr, numbers| {
        format!("{index} addr {} port {} conn 0 {numbers} prio 0", at.ip(), at.port())
    };
    let shows = |wanted: [String; 2]| {
        let servers = pen.ask("servers");
        servers.lines().count() == 2
            && servers.lines().zip(wanted).all(|(line, wanted)| line.starts_with(&wanted))
    };
    let second = || line(1, at, "max 7 hard 0 weight 0");
    let first = line(0, own, "max 0 hard 6 weight 0");
    assert!(shows([first, second()]), "{}", pen.ask("servers"));
    pen.signal("HUP");
    wait_until("the file counts", || shows([line(0, at, "max 9 hard 6 weight 8"), second()]));
}

fn make_pipe(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

/// Nobody writes to these pipes, and nobody reads them.
#[test]
fn a_pipe_holds_nobody_up() {
    better!(HOSTILE_FILES);
    let (host, dir) = (Host::new(), Dir::new());
    let [pipe, file, log] = ["pipe", "pen.cfg", "log"].map(|name| dir.file(name));
    make_pipe(&pipe);
    fs::write(&file, "").unwrap();
    let pen = Starter::new(&host)
        .args(["-F", file.to_str().unwrap(), "-l", log.to_str().unwrap()])
        .control(host.at())
        .expect("reloading on HUP")
        .expect("cannot open the log")
        .expect("not a regular file")
        .start();
    let include = format!("include {}", pipe.display());
    // More than there may be visitors.
    for _ in 0..40 {
        let reply = pen.ask(&include);
        assert!(reply.contains("pipe: cannot read the configuration: not a regular"), "{reply}");
    }
    fs::write(&file, &include).unwrap();
    fs::remove_file(&log).unwrap();
    make_pipe(&log);
    pen.signal("HUP");
    pen.says("cannot open the log");
    pen.says("pen.cfg, line 1: ");
    fs::write(&file, "hash\n").unwrap();
    fs::remove_file(&log).unwrap();
    pen.signal("HUP");
    wait_until("it is read again", || pen.ask("mode").starts_with("hash"));
}

#[test]
fn files_include_one_another_up_to_a_depth() {
    better!(HOSTILE_FILES);
    let (host, dir) = (Host::new(), Dir::new());
    let name = |number: usize| dir.file(&format!("{number}.cfg"));
    for number in 0..500 {
        let next = name(number + 1);
        fs::write(name(number), format!("include {}\n", next.display())).unwrap();
    }
    let pen = Starter::new(&host).control(host.at()).start();
    let reply = pen.ask(&format!("include {}", name(0).display()));
    let wanted = format!(
        "{}, line 1: {}: included too deep, 16 files at most\n",
        name(15).display(),
        name(16).display()
    );
    assert_eq!(reply, wanted);
    fs::write(name(16), "hash\n").unwrap();
    assert_eq!(pen.ask(&format!("include {}", name(1).display())), "");
    assert!(pen.ask("mode").starts_with("hash"));
}

/// As much nonsense as a file may have.
#[test]
fn nonsense_costs_little_and_is_told_in_part() {
    better!(HOSTILE_FILES);
    let (host, dir) = (Host::new(), Dir::new());
    let file = dir.file("pen.cfg");
    let lines = (16 << 20) / 64;
    let nonsense = |lines: usize| format!("{}\n", "x".repeat(63)).repeat(lines);
    fs::write(&file, nonsense(lines)).unwrap();
    let pen = Starter::new(&host).control(host.at()).start();
    let reply = pen.ask(&format!("include {}", file.display()));
    let parts: Vec<&str> = reply.trim_end().split("; ").collect();
    assert_eq!(parts.len(), 101, "{} bytes", reply.len());
    assert_eq!(parts[100], format!("and {} more", lines - 100));
    let peak = pen.status().number("VmHWM");
    assert!(peak < 128 * 1024, "{peak} kB");
    fs::write(&file, nonsense(lines + 1)).unwrap();
    let reply = pen.ask(&format!("include {}", file.display()));
    assert!(reply.contains("longer than 16777216 bytes"), "{reply}");
}

/// A file that includes others is as long as all of them together.
#[test]
fn what_is_included_counts_for_the_length() {
    better!(HOSTILE_FILES);
    let (host, dir) = (Host::new(), Dir::new());
    let (file, more) = (dir.file("pen.cfg"), dir.file("more.cfg"));
    fs::write(&more, "#\n".repeat(3 << 20)).unwrap();
    let include = format!("include {}\n", more.display());
    let pen = Starter::new(&host).control(host.at()).start();
    fs::write(&file, include.repeat(2)).unwrap();
    assert_eq!(pen.ask(&format!("include {}", file.display())), "");
    fs::write(&file, include.repeat(3)).unwrap();
    let reply = pen.ask(&format!("include {}", file.display()));
    assert!(reply.contains("line 3: ") && reply.contains("longer than"), "{reply}");
}

/// Some editors put this before the text.
#[test]
fn a_byte_order_mark_is_passed_over() {
    let (host, dir) = (Host::new(), Dir::new());
    let file = dir.file("pen.cfg");
    fs::write(&file, "\u{feff}roundrobin\nblacklist 7\n").unwrap();
    let pen = Starter::new(&host).args(["-F", file.to_str().unwrap()]).control(host.at()).start();
    assert_eq!(pen.ask("blacklist"), "7\n");
    let mode = if worse(&BYTE_ORDER_MARK) { "no roundrobin" } else { "no hash roundrobin" };
    assert!(pen.ask("mode").contains(mode));
}
