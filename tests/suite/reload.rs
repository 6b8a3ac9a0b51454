//! Reading the configuration again amid traffic: everything takes effect in one
//! step, or nothing does, and nothing that a file can be holds anybody up.

use crate::differences::{BYTE_ORDER_MARK, RELOAD};
use crate::stand::{At, Backend, Pen, Starter, better, wait_until, worse};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::thread;

/// Has pen read this, and waits until it has.
fn reload(pen: &Pen, text: &str, round: usize) {
    // Each time another value, to see when it is in force.
    let seconds = 100 + round;
    pen.host.dir.put("pen.cfg", format!("{text}blacklist {seconds}\n"));
    pen.signal("HUP");
    wait_until("the file is read", || pen.ask("blacklist") == format!("{seconds}\n"));
}

/// Has pen read the texts in turn while clients come, and what they get.
fn letters_while_reloading(pen: &Pen, texts: &[String]) -> String {
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let callers = [(); 4].map(|()| {
            scope.spawn(|| {
                let mut got = String::new();
                while !over.load(SeqCst) {
                    got += &pen.letter();
                }
                got
            })
        });
        for round in 0..40 {
            reload(pen, &texts[round % texts.len()], round);
        }
        over.store(true, SeqCst);
        callers.map(|caller| caller.join().unwrap()).concat()
    })
}

/// The command that reads this file, too.
fn include(path: &Path) -> String {
    format!("include {}", path.display())
}

/// What is set now.
fn settings(pen: &Pen) -> Vec<String> {
    pen.written().lines().skip(2).map(str::to_owned).collect()
}

/// While a long list is exchanged for itself it is never seen short.
#[test]
fn a_denied_client_never_gets_in_meanwhile() {
    better!(RELOAD);
    let mut list = "no acl 1\n".to_owned();
    for number in 0..4000 {
        let _ = writeln!(list, "acl 1 deny 10.0.{}.{}", number / 256, number % 256);
    }
    // The clients of this test are the last.
    list += "acl 1 deny 127.0.0.0 255.0.0.0\nacl 1 permit 0.0.0.0 0.0.0.0\nclient_acl 1\n";
    let pen = Starter::new()
        .config(&list)
        .letters(1)
        .control()
        .expect("denied by the access list")
        .expect("more messages like these")
        .start();
    assert_eq!(letters_while_reloading(&pen, &[list]), "");
}

/// A server and the list that it has come together: nobody meets the one
/// without the other.
#[test]
fn servers_and_lists_change_together() {
    better!(RELOAD);
    let starter = Starter::new();
    let backends = ['A', 'B'].map(|letter| Backend::letter(starter.host.at(), letter));
    let [open, closed] =
        [0, 1].map(|index| format!("server 0 {} acl 1\n", backends[index].at.words()));
    // What stands between may take its time, and either may come first.
    let between: String = (0..256).map(|n| format!("acl 2 deny 10.0.0.{n}\n")).collect();
    let (deny, permit) = ("no acl 1\nacl 1 deny 127.0.0.0 255.0.0.0\n", "no acl 1\n");
    let texts = [format!("{closed}{between}{deny}"), format!("{permit}{between}{open}")];
    let pen = starter
        .args(["-r"])
        .config(&texts[1])
        .control()
        .expect("no server available")
        .expect("more messages like these")
        .start();
    let letters = letters_while_reloading(&pen, &texts);
    assert!(letters.contains('A') && !letters.contains('B'), "{letters}");
}

#[test]
fn a_file_with_an_error_changes_nothing() {
    let pen = Starter::new()
        .config("acl 1 permit 10.0.0.0 255.0.0.0\n")
        .operand("127.0.0.1:9")
        .control()
        .expect("pen.cfg, line ")
        .expect("more.cfg, line ")
        .start();
    let dir = &pen.host.dir;
    let good = "no acl 1\nroundrobin\nserver 0 max 7\nserver 3 port 7\nconn_max 900\n";
    if worse(&RELOAD) {
        dir.put("pen.cfg", format!("{good}foo\n"));
        pen.signal("HUP");
        wait_until("the good lines count", || pen.ask("mode").contains("no hash roundrobin"));
        return;
    }
    let before = settings(&pen);
    let more = include(&dir.put("more.cfg", "hash\nblacklist x\n"));
    let read_again = |text: &str| {
        dir.put("pen.cfg", text);
        let count = pen.times_said("reloading");
        pen.signal("HUP");
        wait_until("it is read again", || pen.times_said("reloading") > count);
    };
    for (bad, complaint) in [
        ("foo", "pen.cfg, line 6: foo: no such command (help lists them)"),
        ("server 1 address bad..host", "pen.cfg, line 6: bad..host"),
        ("log /nonexistent/log", "pen.cfg, line 6: /nonexistent/log"),
        ("listen 192.0.2.1:80", "pen.cfg, line 6: 192.0.2.1:80"),
        ("include /nonexistent/more", "pen.cfg, line 6: /nonexistent/more"),
        (&more, "more.cfg, line 2: blacklist: bad number 'x'"),
    ] {
        read_again(&format!("{good}{bad}\n"));
        pen.says(complaint);
        assert_eq!(settings(&pen), before, "{bad}");
        // What the control port is asked to include is no other thing.
        let reply = pen.ask(&include(&pen.file("pen.cfg")));
        assert!(reply.contains(complaint), "{reply}");
        assert_eq!(settings(&pen), before, "{bad}");
    }
    read_again(good);
    wait_until("a good file counts", || pen.ask("conn_max") == "900\n");
    let servers = pen.ask("servers");
    assert!(servers.contains(" max 7 ") && servers.lines().count() == 4, "{servers}");
    let settings = settings(&pen);
    assert!(settings.contains(&"roundrobin".to_owned()));
    assert!(!settings.iter().any(|line| line.starts_with("acl 1")));
}

/// A command with several changes makes all of them or none.
#[test]
fn a_command_with_an_error_changes_nothing() {
    better!(RELOAD);
    let pen = Starter::new().operand("127.0.0.1:9").control().start();
    let before = pen.ask("servers");
    for line in ["server 0 max 5 port no-such-port", "server 2 max 5 address bad..host"] {
        assert!(!pen.ask(line).is_empty(), "{line}");
        assert_eq!(pen.ask("servers"), before, "{line}");
    }
}

/// What was read before counts once more for nothing.
#[test]
fn entries_do_not_pile_up() {
    better!(ACL_TWICE);
    let list = "acl 1 permit 10.0.0.0 255.0.0.0\nacl 1 deny 10.0.0.1\n";
    let pen = Starter::new().config(list).control().start();
    (0..3).for_each(|round| reload(&pen, list, round));
    assert_eq!(pen.written().matches("\nacl 1 ").count(), 2);
}

/// Servers that operands name are theirs at the start; read again, the file
/// counts. So it is with the C program.
#[test]
fn operands_hold_against_the_file_at_the_start() {
    let starter = Starter::new();
    let [own, other] = [(); 2].map(|()| starter.host.at());
    let address = other.words();
    let text = format!("server 0 {address} max 9 weight 8\nserver 1 {address} max 7\n");
    let pen = starter.args(["-s"]).config(text).operand(format!("{own}:0:6")).control().start();
    let line = |index, at: &At, numbers: &str| {
        let at = at.inet();
        format!("{index} addr {} port {} conn 0 {numbers} prio 0", at.ip(), at.port())
    };
    let shows = |at: &At, numbers: &str| {
        let wanted = [line(0, at, numbers), line(1, &other, "max 7 hard 0 weight 0")];
        let servers = pen.ask("servers");
        servers.lines().count() == 2
            && servers.lines().zip(wanted).all(|(line, wanted)| line.starts_with(&wanted))
    };
    assert!(shows(&own, "max 0 hard 6 weight 0"), "{}", pen.ask("servers"));
    pen.signal("HUP");
    wait_until("the file counts", || shows(&other, "max 9 hard 6 weight 8"));
}

/// Nobody writes to these pipes, and nobody reads them.
#[test]
fn a_pipe_holds_nobody_up() {
    better!(HOSTILE_FILES);
    let pen = Starter::new()
        .config("")
        .file("-l", "log")
        .control()
        .expect("cannot open the log")
        .expect("not a regular file")
        .start();
    let dir = &pen.host.dir;
    let include = include(&dir.pipe("pipe"));
    // More than there may be visitors.
    for _ in 0..40 {
        let reply = pen.ask(&include);
        assert!(reply.contains("pipe: cannot read the configuration: not a regular"), "{reply}");
    }
    dir.put("pen.cfg", &include);
    fs::remove_file(pen.file("log")).unwrap();
    let log = dir.pipe("log");
    pen.signal("HUP");
    pen.says("cannot open the log");
    pen.says("pen.cfg, line 1: ");
    dir.put("pen.cfg", "hash\n");
    fs::remove_file(&log).unwrap();
    pen.signal("HUP");
    wait_until("it is read again", || pen.ask("mode").starts_with("hash"));
}

#[test]
fn files_include_one_another_up_to_a_depth() {
    better!(HOSTILE_FILES);
    let pen = Starter::new().control().start();
    let name = |number: usize| pen.file(&format!("{number}.cfg"));
    for number in 0..500 {
        fs::write(name(number), include(&name(number + 1))).unwrap();
    }
    let reply = pen.ask(&include(&name(0)));
    let (last, beyond) = (name(15), name(16));
    let wanted = format!(
        "{}, line 1: {}: included too deep, 16 files at most\n",
        last.display(),
        beyond.display()
    );
    assert_eq!(reply, wanted);
    fs::write(beyond, "hash\n").unwrap();
    assert_eq!(pen.ask(&include(&name(1))), "");
    assert!(pen.ask("mode").starts_with("hash"));
}

/// As much nonsense as a file may have.
#[test]
fn nonsense_costs_little_and_is_told_in_part() {
    better!(HOSTILE_FILES);
    let pen = Starter::new().control().start();
    let lines = (16 << 20) / 64;
    let reply = |lines: usize| {
        let nonsense = format!("{}\n", "x".repeat(63)).repeat(lines);
        pen.ask(&include(&pen.host.dir.put("more.cfg", nonsense)))
    };
    let told = reply(lines);
    let parts: Vec<&str> = told.trim_end().split("; ").collect();
    assert_eq!(parts.len(), 101, "{} bytes", told.len());
    assert_eq!(parts[100], format!("and {} more", lines - 100));
    let peak = pen.status().number("VmHWM");
    assert!(peak < 128 * 1024, "{peak} kB");
    let told = reply(lines + 1);
    assert!(told.contains("longer than 16777216 bytes"), "{told}");
}

/// A file that includes others is as long as all of them together.
#[test]
fn what_is_included_counts_for_the_length() {
    better!(HOSTILE_FILES);
    let pen = Starter::new().control().start();
    let dir = &pen.host.dir;
    let line = include(&dir.put("more.cfg", "#\n".repeat(3 << 20))) + "\n";
    let reply = |times| pen.ask(&include(&dir.put("some.cfg", line.repeat(times))));
    assert_eq!(reply(2), "");
    let told = reply(3);
    assert!(told.contains("line 3: ") && told.contains("longer than"), "{told}");
}

/// Some editors put this before the text.
#[test]
fn a_byte_order_mark_is_passed_over() {
    let pen = Starter::new().config("\u{feff}roundrobin\nblacklist 7\n").control().start();
    assert_eq!(pen.ask("blacklist"), "7\n");
    let mode = if worse(&BYTE_ORDER_MARK) { "no roundrobin" } else { "no hash roundrobin" };
    assert!(pen.ask("mode").contains(mode));
}
