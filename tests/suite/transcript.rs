//! Every control command, good and bad, side by side with the C program: the
//! replies are the same to the byte, or `transcript.txt` says why ours is better.
//!
//! Behind `> COMMAND` that file has nothing if both replies are to be the same.
//! Otherwise there is a word, and behind it our reply:
//!
//! | word | the C program |
//! |---|---|
//! | `better ROW` | replies otherwise, by this row of the differences |
//! | `alone ROW` | is not asked, as the command ends or hangs it |
//! | `still` | is not asked, as it has not refused the command before |

use crate::differences::{ALL, Difference, TRANSPARENT};
use crate::stand::{Dir, Host, Starter, aside, c_program, compared, is_root, known};

/// Commands, their words and our replies; no word where both are the same.
fn commands() -> impl Iterator<Item = (&'static str, &'static str, String)> {
    let text = include_str!("transcript.txt").trim_start_matches("> ");
    text.split("\n> ").map(|entry| {
        let mut lines = entry.lines();
        let mut next = || lines.next().unwrap_or_default();
        (next(), next(), lines.map(|line| format!("{line}\n")).collect())
    })
}

fn difference(name: &str) -> &'static Difference {
    let row = ALL.iter().find(|row| row.name == name);
    row.unwrap_or_else(|| panic!("transcript.txt: no difference {name}"))
}

#[test]
fn replies() {
    let Some(program) = c_program("pen") else { return };
    let (our_place, their_place) = (Host::new(), Host::new());
    let start = |starter: Starter, _host: &Host| {
        let servers = ["127.0.0.1:1001", "127.0.0.1:1002:10:20"];
        let servers = servers.map(str::to_owned);
        let starter = servers.into_iter().fold(starter, Starter::operand);
        starter.control().start()
    };
    let ours = start(Starter::on(&our_place).ours(), &our_place);
    let theirs = start(Starter::on(&their_place).program(program), &their_place);
    for (command, word, wanted) in commands() {
        let our_reply = if command == "servers" { ours.server_list() } else { ours.ask(command) };
        if command == "transparent" && !is_root() {
            // Not the same without the right.
            known(command, &TRANSPARENT);
            continue;
        }
        if word.is_empty() {
            // The addresses that the two were given are not the same.
            let (we, they) = (our_place.ip.to_string(), their_place.ip.to_string());
            assert_eq!(our_reply, theirs.ask(command).replace(&they, &we), "{command}");
            compared(command, None);
            continue;
        }
        assert_eq!(our_reply, wanted, "{command}");
        match word.split_once(' ') {
            Some(("better", name)) => {
                assert_ne!(theirs.ask(command), our_reply, "{command}: no longer different");
                compared(command, Some(difference(name)));
            }
            Some(("alone", name)) => known(command, difference(name)),
            _ => assert_eq!(word, "still", "{command}"),
        }
    }
}

/// In the transcript, both with `no` and without where there is both, except
/// for those whose replies are not to be compared: other tests have them.
#[test]
fn every_command_is_in_the_transcript() {
    aside("about the tests themselves");
    let begins = |line: &str, words: &str| {
        line.strip_prefix(words).is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
    };
    let mut missing = Vec::new();
    for spec in pen::control::table::TABLE {
        let no = format!("no {}", spec.name);
        let forms = [spec.name.to_owned(), no];
        let forms = forms.into_iter().take(if spec.has_no() { 2 } else { 1 });
        missing.extend(forms.filter(|form| !commands().any(|(line, ..)| begins(line, form))));
    }
    assert_eq!(missing, ["help", "pid", "restart", "status"]);
}

#[test]
fn the_status_page_is_the_c_programs() {
    let Some(program) = c_program("pen") else { return };
    let page = |starter: Starter, _host: &Host| {
        let starter = starter.operand("127.0.0.1:1001:10:20:3:4");
        let dir = Dir::new();
        let file = dir.file("page.html");
        let starter = starter.path("-w", &file);
        let pen = starter.control().start();
        pen.ask("server 1 address 127.0.0.2 port 7");
        let page = pen.ask("status");
        // The time is that of the moment.
        let lines = page.lines().filter(|line| !line.starts_with("Time "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (here, there) = (Host::new(), Host::new());
    let ours = page(Starter::on(&here).ours(), &here);
    assert_eq!(ours, page(Starter::on(&there).program(program), &there));
    assert!(ours.len() > 40, "{ours:?}");
    compared("", None);
}
