//! `--try`: which servers answer.

use crate::resolve::Hosts;
use crate::stand::{At, Backend, Host, better, finish, full_queue, pen_program, run, with_etc};
use std::net::Ipv4Addr;

#[test]
fn the_table_says_which_servers_answer() {
    better!(LONG_OPTIONS);
    let host = Host::new();
    let (pen, full, dead) = (host.at(), host.at(), host.at());
    let _full = full_queue(full.inet());
    let alive = Backend::letter(host.at(), 'A');
    let words = ["--try", "-t", "1", "-e"];
    let [pen, full, dead, alive] = [&pen, &full, &dead, &alive.at].map(At::to_string);
    let (status, table, errors) = run(words.into_iter().chain([&*dead, &pen, &alive, &full]));
    assert_eq!((status, errors.as_str()), (0, ""), "{table}");
    let lines: Vec<_> = table.lines().collect();
    let begins = |line: &str, words: [&str; 3], end: &str| {
        let all: Vec<_> = line.split_whitespace().collect();
        assert!(all.starts_with(&words) && line.ends_with(end), "{line}");
    };
    assert_eq!(lines.len(), 4, "{table}");
    begins(lines[0], ["server", "name", "address"], "  connected after");
    begins(lines[1], ["0", "-", &alive], " ms");
    begins(lines[2], ["1", "-", &full], "  no answer within 1 s");
    begins(lines[3], ["emergency", "-", &dead], "  Connection refused (os error 111)");
    // In columns.
    let column = |line: &str| line.find("127.");
    assert!(lines[1..].iter().all(|line| column(line) == column(lines[1])), "{table}");
    let (status, table, errors) = run(["--try", &pen, &dead]);
    assert_eq!((status, table.lines().count()), (1, 2), "{table}");
    assert_eq!(errors, "pen: fatal: no server answers\n");
    // What --check refuses, it refuses, too.
    let (status, table, errors) = run(["--try", &pen, &pen]);
    assert_eq!((status, table.as_str()), (1, ""), "{errors}");
    // UDP servers are shown.
    let (status, table, errors) = run(["-U", "--try", &pen, &dead]);
    assert_eq!((status, errors.as_str()), (0, ""), "{table}");
    assert!(table.contains("  not asked: "), "{table}");
}

#[test]
fn each_address_of_a_name_is_tried() {
    better!(LONG_OPTIONS);
    let host = Host::new();
    let other = Ipv4Addr::new(127, 45, 0, 1);
    let Some(hosts) = Hosts::new(&[("web", host.ip), ("web", other)]) else { return };
    let alive = Backend::letter(host.at(), 'A');
    let port = alive.at.inet().port();
    for (option, slots) in [("no expand", ["0", "0"]), ("expand", ["1", "0"])] {
        let mut command = with_etc(hosts.dir(), &pen_program());
        command.args(["--try", "-O", option, &host.at().to_string(), &format!("web:{port}")]);
        let output = finish(command);
        let table = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{table}");
        for (slot, ip, end) in
            [(slots[0], host.ip, " ms"), (slots[1], other, "  Connection refused (os error 111)")]
        {
            let line = table.lines().find(|line| line.contains(&format!(" {ip}:{port} ")));
            let line = line.unwrap_or_else(|| panic!("{table}"));
            assert!(line.starts_with(&format!("{slot} ")) && line.ends_with(end), "{table}");
            assert!(line.contains("  web  "), "{table}");
        }
    }
}
