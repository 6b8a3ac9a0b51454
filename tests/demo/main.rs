//! `make demo`: pen in front of two small web servers, to try it out.
//!
//! The servers are processes of their own (copies of this program), so that
//! one can be killed; it is started again after a while. Everything ends with
//! Ctrl-C, and also when only this program is ended: see `keeper`.

// A demonstration that cannot go on may simply end.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod back_end;
#[path = "../stand/keeper.rs"]
mod keeper;

use keeper::{Keeper, Kept};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// The argument that makes a copy of this program a back end.
const BACK_END: &str = "--back-end";

/// How long a back end that was killed stays away.
const AWAY: Duration = Duration::from_secs(15);

/// Options of pen: in the foreground, and a server that failed is tried again
/// soon, as nobody wants to watch the usual 30 seconds pass.
const OPTIONS: &[&str] = &["-f", "-H", "-b", "5"];

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
                "\n>> back end {name} (process {}) has ended: reload, and the other one answers.\n\
                 >> It will be started again in {} seconds.\n",
                process.pid(),
                AWAY.as_secs()
            );
        } else if self.ended.elapsed() > AWAY {
            self.restart(keeper)?;
            println!(
                "\n>> back end {name} runs again{}. Clients that were moved stay where they are;\n\
                 >> a new one (--interface 127.0.0.3) may get either.\n",
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

/// Starts everything and watches until pen ends.
fn demonstrate() -> Result<(), String> {
    let program = pen()?;
    let keeper = Keeper::start(None).map_err(|e| format!("keeper: {e}"))?;
    let open = free_port(8080)?;
    let one = free_port(open.port() + 1)?;
    let two = free_port(one.port() + 1)?;
    let mut back_ends =
        [BackEnd::start("one", one, &keeper)?, BackEnd::start("two", two, &keeper)?];
    let mut command = Command::new(&program);
    command.args(OPTIONS);
    command.args([open, one, two].map(|at| at.to_string()));
    println!("{} {} {open} {one} {two}\n", program.display(), OPTIONS.join(" "));
    let started = keeper.spawn(command.stdin(Stdio::null()));
    let mut pen = started.map_err(|e| format!("{}: {e}", program.display()))?;
    wait_until_open(open, Some(&mut pen))?;
    introduce(open, &back_ends);
    while !pen.has_ended() {
        for back_end in &mut back_ends {
            back_end.look(&keeper)?;
        }
        thread::sleep(Duration::from_millis(100));
    }
    Err("pen has ended, and so does the demonstration".to_owned())
}

fn introduce(open: SocketAddr, back_ends: &[BackEnd]) {
    println!("\npen listens at http://{open}/ and has two servers:");
    for back_end in back_ends {
        let number = back_end.process_number();
        println!("  back end {} at {}{number}", back_end.name, back_end.at);
    }
    println!(
        "\nTry:
  curl http://{open}/                          or open it in a browser
  curl http://{open}/                          again: the same back end, as pen remembers you
  curl --interface 127.0.0.2 http://{open}/    another client: the other back end
  kill the process that the answer names, and reload: pen turns to the other
       back end and leaves the dead one alone for 5 seconds at a time
Ctrl-C ends it all.
"
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
