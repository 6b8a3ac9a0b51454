//! The tutorial and the session of the README: their commands are run one after the
//! other, in one shell, and must print what the text shows.
//!
//! A command whose output is shown is repeated until it prints that, as a reader may
//! have to wait, too. Any other command runs once and must print nothing. Lines are
//! compared word by word; times and dates may differ, and what stands behind `...`. Each
//! address 127.0.0.N of the text becomes one that no other test has, except 127.0.0.1,
//! from which pen connects to the servers.

use crate::stand::{Dir, Host, PATIENCE, better, is_root, program, skipped};
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Instant;

const SOURCE: &str = env!("CARGO_MANIFEST_DIR");

/// The shell prints it when a command has ended.
const MARK: &str = "-- that was it --";

struct Step {
    command: String,
    shown: Vec<String>,
}

/// The commands of a manual page or a Markdown file, with the lines that it shows behind
/// them.
fn steps(text: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    let mut in_display = false;
    for line in text.lines() {
        let starts = line.starts_with(".Bd -literal") || line == "```console";
        if starts || line == ".Ed" || line == "```" {
            in_display = starts;
            continue;
        } else if !in_display {
            continue;
        }
        let line = line.strip_prefix("\\&").unwrap_or(line).replace("\\e", "\\");
        match (line.strip_prefix("$ "), line.strip_prefix("> "), steps.last_mut()) {
            (Some(command), _, _) => {
                steps.push(Step { command: command.to_owned(), shown: Vec::new() });
            }
            (_, Some(more), Some(step)) => step.command += &format!("\n{more}"),
            (_, _, Some(step)) => step.shown.push(line),
            _ => panic!("output before the first command: {line}"),
        }
    }
    steps
}

/// The text with addresses of this test's own. They are taken while the hosts live.
fn with_own_addresses(original: &str) -> (String, Vec<Host>) {
    let mut text = String::new();
    let mut hosts: BTreeMap<String, Host> = BTreeMap::new();
    let mut parts = original.split("127.0.0.");
    text += parts.next().unwrap_or_default();
    for part in parts {
        let digits = part.find(|c: char| !c.is_ascii_digit()).unwrap_or(part.len());
        let (number, rest) = part.split_at(digits);
        match number {
            "1" => text += "127.0.0.1",
            _ => text += &hosts.entry(number.to_owned()).or_insert_with(Host::new).ip.to_string(),
        }
        text += rest;
    }
    (text, hosts.into_values().collect())
}

/// The words of a line, with `#` for what differs from one time to the next.
fn words(line: &str) -> Vec<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_made_of = |word: &str, others: &str| {
        word.starts_with(|c: char| c.is_ascii_digit())
            && word.chars().all(|c| c.is_ascii_digit() || others.contains(c))
    };
    let varies = |(at, word): (usize, &&str)| {
        let (word, next) =
            (word.trim_start_matches('[').trim_end_matches([':', ']']), words.get(at + 1));
        let is_time = is_made_of(word, ":") && word.matches(':').count() == 2;
        let is_date = is_made_of(word, "-") && word.matches('-').count() == 2
            || word.split('/').count() == 3 && is_made_of(&word[..1], "");
        let is_duration = word.ends_with(['s', 'm']) && is_made_of(word, "ms");
        let is_amount =
            is_made_of(word, ".") && next.is_some_and(|next| ["s", "ms"].contains(next));
        match is_time || is_date || is_duration || is_amount {
            true => "#".to_owned(),
            false => word.to_owned(),
        }
    };
    words.iter().enumerate().map(varies).collect()
}

fn is_alike(shown: &str, printed: &str) -> bool {
    match shown.strip_suffix(" ...") {
        Some(beginning) => words(printed).starts_with(&words(beginning)),
        None => words(printed) == words(shown),
    }
}

/// A shell with a process group of its own, which ends with this.
struct Shell {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
}

impl Shell {
    fn start(dir: &Dir) -> Shell {
        fs::create_dir(dir.file("bin")).unwrap();
        for name in ["pen", "penctl", "penlog", "penlogd"] {
            fs::copy(program(name), dir.file("bin").join(name)).unwrap();
        }
        let path = std::env::var("PATH").unwrap_or_default();
        let mut command = Command::new("sh");
        command.env("PATH", format!("{}:{path}", dir.file("bin").display()));
        command.current_dir(dir.path()).process_group(0);
        if is_root() {
            // pen opens no control port as root.
            command.uid(65534).gid(65534);
        }
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        writeln!(input, "exec 2>&1").unwrap();
        let (send, lines) = channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        thread::spawn(move || {
            output.lines().map_while(Result::ok).all(|line| send.send(line).is_ok())
        });
        Shell { child, input, lines }
    }

    /// What a command prints.
    fn run(&mut self, command: &str) -> Vec<String> {
        writeln!(self.input, "{command}\necho '{MARK}'").unwrap();
        let next = || self.lines.recv_timeout(PATIENCE);
        let mut printed = Vec::new();
        loop {
            match next() {
                Ok(line) if line == MARK => return printed,
                Ok(line) => printed.push(line),
                Err(e) => panic!("{command}: {e}, {printed:#?}"),
            }
        }
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // The group, of which the shell is the first.
        let group = format!("kill -s KILL -- -{}", self.child.id());
        let _ = Command::new("sh").args(["-c", &group]).status();
        let _ = self.child.wait();
    }
}

/// Runs the commands of a file; there must be so many at least.
fn play(file: &str, least: usize) {
    for name in ["curl", "python3"] {
        if Command::new(name).arg("--version").stdout(Stdio::null()).status().is_err() {
            return skipped(&format!("{name} is not installed"));
        }
    }
    let text = fs::read_to_string(Path::new(SOURCE).join(file)).unwrap();
    let (text, hosts) = with_own_addresses(&text);
    // A program may listen there on all addresses.
    for port in [8000, 8080, 8081, 10_000] {
        if TcpListener::bind((hosts[0].ip, port)).is_err() {
            return skipped(&format!("port {port} is taken"));
        }
    }
    let steps = steps(&text);
    assert!(steps.len() >= least, "{file} has {} commands", steps.len());
    let dir = Dir::new().open_to_all();
    let mut shell = Shell::start(&dir);
    for Step { command, shown } in steps {
        let end = Instant::now() + PATIENCE;
        loop {
            let printed = shell.run(&command);
            let is_as_shown = printed.len() == shown.len()
                && shown.iter().zip(&printed).all(|(shown, printed)| is_alike(shown, printed));
            if is_as_shown {
                break;
            }
            let is_last = shown.is_empty() || Instant::now() > end;
            assert!(!is_last, "{command}\nshown: {shown:#?}\nprinted: {printed:#?}");
        }
    }
}

#[test]
fn its_commands_print_what_it_shows() {
    better!(CHECKS);
    play("src/man/pen-tutorial.7", 50);
}

#[test]
fn the_session_of_the_readme_goes_as_it_is_shown() {
    better!(CHECKS);
    play("README.md", 20);
}
