//! `make demo`: pen with its page in front of two small web servers, to try it out.
//!
//! The servers are processes of their own (copies of this program), so that one can be
//! ended; it is started again after a while. Letters that are typed make clients and
//! commands, so that neither curl nor a browser is needed. Everything ends with Ctrl-C,
//! and also when only this program is ended: see `keeper`.

// A demonstration that cannot go on may simply end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod back_end;
mod client;
#[path = "../stand/keeper.rs"]
mod keeper;

use keeper::{Keeper, Kept};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

/// The argument that makes a copy of this program a back end.
const BACK_END: &str = "--back-end";

/// How long a back end that was killed stays away.
const AWAY: Duration = Duration::from_secs(15);

/// Options of pen: in the foreground, and a server that failed is tried again
/// soon, as nobody wants to watch the usual 30 seconds pass.
const OPTIONS: &[&str] = &["-f", "-H", "-b", "5"];

/// Those that it needs beside them if root starts it: a user.
const AS_ROOT: &[&str] = &["-u", "65534"];

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        [keeper::ROLE, ..] => {
            keeper::keep(None);
            Ok(())
        }
        [BACK_END, name, at] => back_end::serve(name, at),
        _ => demonstrate(),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("demo: {why}");
            ExitCode::FAILURE
        }
    }
}

/// A back end as it is seen from here.
struct BackEnd {
    name: &'static str,
    at: SocketAddr,
    process: Option<Kept>,
    ended: Instant,
}

impl BackEnd {
    fn start(name: &'static str, at: SocketAddr, keeper: &Keeper) -> Result<BackEnd, String> {
        let mut back_end = BackEnd { name, at, process: None, ended: Instant::now() };
        back_end.restart(keeper)?;
        Ok(back_end)
    }

    fn restart(&mut self, keeper: &Keeper) -> Result<(), String> {
        let program = std::env::current_exe().map_err(|e| e.to_string())?;
        let mut command = Command::new(program);
        command.args([BACK_END, self.name, &self.at.to_string()]);
        let process = keeper.spawn(command.stdin(Stdio::null()));
        self.process = Some(process.map_err(|e| format!("back end {}: {e}", self.name))?);
        wait_until_open(self.at, self.process.as_mut())
    }

    /// Notices its end, and starts it again when it is time to.
    fn look(&mut self, keeper: &Keeper) -> Result<(), String> {
        let name = self.name;
        if let Some(mut process) = self.process.take() {
            if !process.has_ended() {
                self.process = Some(process);
                return Ok(());
            }
            self.ended = Instant::now();
            println!(
                "\n>> back end {name} (process {}) has ended: its clients get the other one.\n\
                 >> It starts again in {} seconds.\n",
                process.pid(),
                AWAY.as_secs()
            );
        } else if self.ended.elapsed() > AWAY {
            self.restart(keeper)?;
            println!(
                "\n>> back end {name} runs again{}. Clients that were moved stay where they\n\
                 >> are; a new one may get either.\n",
                self.process_number()
            );
        }
        Ok(())
    }

    fn process_number(&self) -> String {
        let process = self.process.as_ref();
        process.map_or_else(String::new, |process| format!(", process {}", process.pid()))
    }
}

/// Where pen is reached.
struct Pen {
    open: SocketAddr,
    page: SocketAddr,
    control: SocketAddr,
}

/// Starts everything and watches until pen ends.
fn demonstrate() -> Result<(), String> {
    let program = pen()?;
    let keeper = Keeper::start(None).map_err(|e| format!("keeper: {e}"))?;
    let mut last = 8079;
    let mut next = || {
        let at = free_port(last + 1)?;
        last = at.port();
        Ok::<_, String>(at)
    };
    let at = Pen { open: next()?, page: next()?, control: next()? };
    let (one, two) = (next()?, next()?);
    let mut back_ends =
        [BackEnd::start("one", one, &keeper)?, BackEnd::start("two", two, &keeper)?];
    let mut command = Command::new(&program);
    command.args(OPTIONS);
    if std::fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0) {
        command.args(AS_ROOT);
    }
    command.args(["--web", &at.page.to_string(), "-C", &at.control.to_string()]);
    command.args([at.open, one, two].map(|at| at.to_string()));
    let words = command.get_args().map(|word| format!(" {}", word.to_string_lossy()));
    println!("{}{}\n", program.display(), words.collect::<String>());
    let started = keeper.spawn(command.stdin(Stdio::null()));
    let mut pen = started.map_err(|e| format!("{}: {e}", program.display()))?;
    wait_until_open(at.open, Some(&mut pen))?;
    introduce(&at, &back_ends);
    let typed = typed();
    while !pen.has_ended() {
        for back_end in &mut back_ends {
            back_end.look(&keeper)?;
        }
        if let Ok(line) = typed.recv_timeout(Duration::from_millis(100)) {
            if line == "q" {
                return Ok(());
            }
            println!("{}", act(&line, &at, &mut back_ends));
        } else {
            // Without anybody who types, that comes back at once.
            thread::sleep(Duration::from_millis(100));
        }
    }
    Err("pen has ended, and so does the demonstration".to_owned())
}

/// The lines that are typed.
fn typed() -> Receiver<String> {
    let (send, lines) = channel();
    thread::spawn(move || {
        let typed = std::io::stdin().lines().map_while(Result::ok);
        typed.map(|line| line.trim().to_owned()).all(|line| send.send(line).is_ok())
    });
    lines
}

/// Does what a line asks for, and says what came of it.
fn act(line: &str, at: &Pen, back_ends: &mut [BackEnd]) -> String {
    let command = |command: &str| match client::command(at.control, command) {
        Ok(reply) => format!("penctl {} {command}\n{reply}", at.control),
        Err(e) => format!("penctl {} {command}: {e}", at.control),
    };
    match line {
        "k" => match back_ends.first_mut().and_then(|back_end| back_end.process.as_mut()) {
            Some(process) => {
                process.end();
                String::new()
            }
            None => "back end one has ended already".to_owned(),
        },
        "d" => command("server 1 state drain"),
        "r" => command("server 1 state ready"),
        "s" => command("servers"),
        _ => match line.parse() {
            Ok(number @ 1..=200) => match client::ask(at.open, number) {
                Ok(answer) => format!("client {number} gets:\n{answer}"),
                Err(e) => format!("client {number}: {e}"),
            },
            _ => "type 1, 2, 3 and so on, k, d, r, s or q, and Enter".to_owned(),
        },
    }
}

fn introduce(at: &Pen, back_ends: &[BackEnd]) {
    println!("\npen listens at http://{}/ and has two servers:", at.open);
    for back_end in back_ends {
        let number = back_end.process_number();
        println!("  back end {} at {}{number}", back_end.name, back_end.at);
    }
    println!(
        "\nOpen http://{}/ in a browser: it is pen's page, which follows all of this.
Open http://{}/ too: a back end answers, and the same one when you reload,
as pen remembers you.

Or type a letter or a number here, and Enter:
  1        client 1 asks for a page; again: the same back end answers
  2, 3     other clients
  k        end back end one: its clients get the other one, and it starts again
  d        drain back end two: its clients stay, new ones do not get it
  r        make it ready again
  s        what pen says of its servers
  q        end it all, as Ctrl-C does
",
        at.page, at.open
    );
}

/// The pen that was built with this program: `examples/demo` is beside it.
fn pen() -> Result<PathBuf, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let pen = program.parent().and_then(Path::parent).map(|dir| dir.join("pen"));
    match pen {
        Some(pen) if pen.is_file() => Ok(pen),
        Some(pen) => Err(format!("{} is missing; try: make demo", pen.display())),
        None => Err("no directory to look for pen in".to_owned()),
    }
}

/// The first port from `first` on that nobody listens at. Connecting alone
/// would not find one that is bound but silent, binding as pen does would
/// share it: so bind as std does, without SO_REUSEPORT.
fn free_port(first: u16) -> Result<SocketAddr, String> {
    (first..first.saturating_add(100))
        .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
        .find(|at| TcpListener::bind(at).is_ok())
        .ok_or_else(|| format!("no free port from {first} on"))
}

fn wait_until_open(at: SocketAddr, process: Option<&mut Kept>) -> Result<(), String> {
    let end = Instant::now() + Duration::from_secs(10);
    let mut process = process;
    while TcpStream::connect(at).is_err() {
        let ended = process.as_mut().is_none_or(|process| process.has_ended());
        if ended || Instant::now() > end {
            return Err(format!("nobody listens at {at}"));
        }
        thread::sleep(Duration::from_millis(10));
    }
    Ok(())
}
