//! What command lines mean.

use super::*;
use crate::control::config;
use crate::control::parse::Command;
use crate::control::row::Value;
use crate::pool::server::Server;
use std::path::Path;

fn words(line: &str) -> Vec<OsString> {
    line.split_whitespace().map(OsString::from).collect()
}

fn run(line: &str) -> Pen {
    match read(&words(line), |_| ()) {
        Ok(Task::Run(pen)) => pen,
        Ok(_) => panic!("{line}: does not run"),
        Err(why) => panic!("{line}: {why}"),
    }
}

fn refused(line: &str) -> String {
    match read(&words(line), |_| ()) {
        Err(why) => why,
        Ok(_) => panic!("{line}: accepted"),
    }
}

#[test]
fn the_table_has_no_doubles() {
    let names = |get: fn(&Spec) -> &'static str| {
        let mut all: Vec<_> = TABLE.iter().map(get).filter(|n| !n.is_empty()).collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    };
    names(|spec| spec.short);
    names(|spec| spec.long);
    let usage = usage();
    for spec in TABLE {
        assert!(usage.contains(spec.help), "{}", spec.help);
    }
    for (first, heading) in table::HEADINGS {
        let spec = TABLE.iter().find(|spec| spec.short == first);
        let below = format!("\n\n{heading}:\n  {} ", spec.unwrap().name());
        assert!(usage.contains(&below), "{heading}");
    }
}

#[test]
fn options_that_are_commands_name_one() {
    for spec in TABLE {
        if let Action::Same(name) = spec.action {
            let command = parse::with(parse::find(name).unwrap(), "1").unwrap();
            let flag = matches!(command, Command::Set(_, Value::Flag(true)));
            assert_eq!(flag, spec.value.is_empty(), "{name}");
        }
    }
}

#[test]
fn options_and_operands_mix() {
    let pen = run("127.0.0.1:80 -x500 -hr 127.0.0.2:81:3 -x 7 -dd -d 127.0.0.3");
    let settings = pen.settings();
    assert_eq!(pen.connections.max(), 7);
    assert!(settings.modes.hash && settings.modes.roundrobin && !settings.modes.weight);
    assert_eq!(settings.debug, 3);
    let table = pen.servers.table();
    let operands: Vec<_> = table.servers.iter().map(|server| server.operand(false)).collect();
    assert_eq!(operands, ["127.0.0.2:81:3", "127.0.0.3:80"]);
    message::set_debug(0);
}

#[test]
fn commands_take_their_turn() {
    let line = ["-h", "-O", "no hash", "-r", "80", "-O", "no roundrobin", "-O", "blacklist 7"];
    let words: Vec<_> = line.iter().map(OsString::from).collect();
    let Ok(Task::Run(pen)) = read(&words, |_| ()) else {
        panic!("does not run");
    };
    let settings = pen.settings();
    assert_eq!(settings.modes, crate::pool::choice::Modes::default());
    assert_eq!(settings.blacklist.as_secs(), 7);
}

#[test]
fn bad_words_are_named() {
    for (line, parts) in [
        ("-x abc 80 h", ["-x abc", "number"]),
        ("-x 0 80 h", ["-x 0", "at least 1"]),
        ("-t 0 80 h", ["-t 0", "at least 1"]),
        ("-t 99999999999 80 h", ["-t 99999999999", "too long"]),
        ("-T -1 80 h", ["-T -1", "number"]),
        ("-c 0 80 h", ["-c 0", "at least 1"]),
        ("-y 80 h", ["-y", "no such option"]),
        ("--nonsense 80 h", ["--nonsense", "no such option"]),
        ("80 h -x", ["-x", "value missing"]),
        ("--check=1 80 h", ["--check", "takes no value"]),
        ("-E cert 80 h", ["-E", "stunnel"]),
        ("-ZR 80 h", ["-", "stunnel"]),
        ("-C 99999 80 h", ["-C 99999", "out of range"]),
        ("-e [::1 80 127.0.0.1", ["-e [::1", "no ]"]),
        ("-F /nonexistent 80 127.0.0.1", ["/nonexistent", "cannot read"]),
        ("127.0.0.1: 127.0.0.1", ["127.0.0.1:", "expected a port"]),
        ("80 127.0.0.1:80x", ["127.0.0.1:80x", "expected a port"]),
    ] {
        let why = refused(line);
        for part in parts {
            assert!(why.contains(part), "{line}: {why}");
        }
        assert_eq!(why.lines().count(), 1, "{why}");
    }
}

#[test]
fn texts_end_well() {
    for (line, part) in [
        ("", "usage: pen"),
        ("--help", "--check"),
        ("--version", "pen "),
        ("-i service 80 h", "Windows"),
    ] {
        match read(&words(line), |_| ()) {
            Ok(Task::Print(text)) => assert!(text.contains(part), "{text}"),
            _ => panic!("{line}"),
        }
    }
    assert!(matches!(read(&words("--check 80 127.0.0.1"), |_| ()), Ok(Task::Checked(_))));
}

#[test]
fn last_resorts_may_leave_out_their_port() {
    let pen = run("-e 127.0.0.1 -B [::1] 127.0.0.1:2525 127.0.0.2");
    let table = pen.servers.table();
    let operand = |server: &Option<Server>| server.as_ref().map(|server| server.operand(false));
    assert_eq!(operand(&table.emergency).unwrap(), "127.0.0.1:2525");
    assert_eq!(operand(&table.abuse).unwrap(), "[::1]:2525");
}

#[test]
fn servers_of_commands_get_the_listening_port() {
    let line = ["-O", "server 2 address 127.0.0.9", "127.0.0.1:2525", "127.0.0.2"];
    let words: Vec<_> = line.iter().map(OsString::from).collect();
    let Ok(Task::Run(pen)) = read(&words, |_| ()) else {
        panic!("does not run");
    };
    let table = pen.servers.table();
    assert_eq!(table.servers[2].operand(false), "127.0.0.9:2525");
}

#[test]
fn a_check_writes_nothing() {
    let path = std::env::temp_dir().join(format!("pen-check-{}", std::process::id()));
    let write = format!("write {}", path.display());
    let line = ["-O", &write, "--check", "127.0.0.1:80", "127.0.0.2"];
    let words: Vec<_> = line.iter().map(OsString::from).collect();
    assert!(matches!(read(&words, |_| ()), Ok(Task::Checked(_))));
    assert!(!path.exists());
}

fn written(words: &[&str]) -> Result<String, String> {
    let words: Vec<OsString> = words.iter().map(OsString::from).collect();
    let Ok(Task::Run(pen)) = read(&words, |_| ()) else {
        panic!("{words:?}");
    };
    config::text(&pen, &pen.settings(), Path::new("pen.cfg"))
}

#[test]
fn what_a_file_cannot_have_is_not_written() {
    for (words, part) in [
        (["-l", "a b", "80", "/x"], "log 'a b'"),
        (["-l", "", "80", "/x"], "log ''"),
        (["-w", "a\nexit", "80", "/x"], "web_stats 'a\nexit'"),
        (["-e", "/a b", "80", "/x"], "emergency '/a b:1'"),
        (["-r", "80", "/x", "/a max 5"], "address '/a max 5'"),
        (["-w", &"x".repeat(5000), "80", "/x"], "longer than 4095"),
    ] {
        let why = written(&words).unwrap_err();
        assert!(why.starts_with("write: ") && why.contains(part), "{why}");
    }
}

#[test]
fn the_second_line_is_one_for_a_shell() {
    for (words, line) in [
        (["-p", "it's", "80"], r"# pen -p 'it'\''s' -F 'pen.cfg' 80"),
        (["-j", "a\nb c", "80"], r"# pen -j 'a\x0ab c' -F 'pen.cfg' 80"),
        (["-C", "/a b", "80"], "# pen -F 'pen.cfg' -C '/a b' 80"),
        (["-q", "70", "80"], "# pen -F 'pen.cfg' 80 -q 70"),
        (["-q70", "--", "-/a"], "# pen -F 'pen.cfg' -q 70 -- -/a"),
        (["-r", "--", "-/a"], "# pen -F 'pen.cfg' -- -/a"),
    ] {
        assert_eq!(written(&words).unwrap().lines().nth(1), Some(line));
    }
}

#[test]
fn a_scope_is_written() {
    let text = written(&["80", "[fe80::1%1]"]).unwrap();
    assert!(text.contains("address fe80::1%1 port 80 "), "{text}");
}
