//! pen is restarted under load (the command `restart`), which must cost nobody anything.

use crate::row::{Extent, Found, Outcome, Row};
use crate::stand::{Backend, Host, Pen, Responder, Starter};
use crate::traffic::pass;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) const ROWS: [Row; 3] = [
    Row { name: "restart", fault: "pen restarted under load (ab -c 50)", run: short },
    Row { name: "restart-kept", fault: "the same (ab -c 100 -k, keep-alive)", run: kept },
    Row { name: "restart-udp", fault: "the same (dnsperf, 3,000 queries a second)", run: udp },
];

/// The time between two restarts.
const GAP: Duration = Duration::from_millis(500);

/// Forced: nothing.
fn short(extent: &Extent) -> Found {
    under_ab(extent, &["-c", "50"])
}

/// Forced: nothing. Connections that are kept finish with the process that has them.
fn kept(extent: &Extent) -> Found {
    under_ab(extent, &["-c", "100", "-k"])
}

fn under_ab(extent: &Extent, words: &[&str]) -> Found {
    let host = Host::new();
    let server = Backend::start(host.at(), |stream| {
        let mut from = BufReader::new(&*stream);
        // It closes as HTTP/1.0 does, unless the connection is to be kept.
        while let Some(keeps) = request(&mut from) {
            let word = if keeps { "keep-alive" } else { "close" };
            let head =
                format!("HTTP/1.0 200 OK\r\nConnection: {word}\r\nContent-Length: 2\r\n\r\n");
            if (&*stream).write_all(format!("{head}ok").as_bytes()).is_err() || !keeps {
                return;
            }
        }
    });
    let mut pen = Starter::on(&host).control().args(["-r"]).server(&server.at).start();
    let (times, seconds) = extent_of(extent);
    let mut ab = Command::new("ab");
    ab.args(["-q", "-r", "-t", &seconds, "-n", "100000000"]).args(words);
    ab.arg(format!("http://{}/", pen.at));
    let load = start(ab, "apache2-utils")?;
    let mut outcome = Outcome { times, ..Outcome::default() };
    restart(&mut pen, &mut outcome);
    let said = result(load)?;
    outcome.done = number(&said, "Complete requests:")?;
    outcome.failed = number(&said, "Failed requests:")?;
    Ok(outcome)
}

/// Reads a request: whether the connection is to be kept. `None` at the end.
fn request(from: &mut impl BufRead) -> Option<bool> {
    let mut keeps = false;
    for line in from.lines().map_while(Result::ok) {
        keeps |= line.eq_ignore_ascii_case("Connection: Keep-Alive");
        if line.is_empty() {
            return Some(keeps);
        }
    }
    None
}

/// Forced: nothing. Every flow keeps its port towards the server.
fn udp(extent: &Extent) -> Found {
    let host = Host::new();
    let server = Responder::start(host.at(), |query| {
        let mut answer = query.to_vec();
        answer.iter_mut().skip(2).take(1).for_each(|flags| *flags |= 0x80);
        vec![answer]
    });
    let mut pen = Starter::on(&host).udp().control().args(["-r"]).server(&server.at).start();
    let (times, seconds) = extent_of(extent);
    let queries = host.dir.put("queries", "www.example A\n");
    let at = pen.at.inet();
    let mut dnsperf = Command::new("dnsperf");
    dnsperf.args(["-c", "20", "-Q", "3000", "-l", &seconds, "-d", queries.to_str().unwrap()]);
    dnsperf.args(["-s", &at.ip().to_string(), "-p", &at.port().to_string()]);
    let load = start(dnsperf, "dnsperf")?;
    let mut outcome = Outcome { times, ..Outcome::default() };
    restart(&mut pen, &mut outcome);
    let said = result(load)?;
    outcome.done = number(&said, "Queries completed:")?;
    outcome.failed = number(&said, "Queries lost:")?;
    let ports = server.peers().len();
    outcome.demand(ports == 20, || format!("{ports} ports for 20 clients"));
    Ok(outcome)
}

/// How many restarts, and for how many seconds there is load.
fn extent_of(extent: &Extent) -> (usize, String) {
    let times = extent.times(20, 4);
    (times, (times + 2).to_string())
}

fn start(mut command: Command, package: &str) -> Result<Child, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    command.stdout(Stdio::piped()).stderr(Stdio::null()).stdin(Stdio::null());
    command.spawn().map_err(|e| format!("needs {program} (package {package}): {e}"))
}

/// Restarts it under the load that is there, and notes the longest time that took.
fn restart(pen: &mut Pen, outcome: &mut Outcome) {
    for _ in 0..outcome.times {
        pass(GAP);
        let begun = Instant::now();
        pen.restart();
        outcome.recovery = outcome.recovery.max(begun.elapsed());
    }
}

fn result(load: Child) -> Result<String, String> {
    let output = load.wait_with_output().map_err(|e| e.to_string())?;
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The number behind this in what a program has written.
fn number(text: &str, before: &str) -> Result<usize, String> {
    let rest = text.lines().find_map(|line| line.trim_start().strip_prefix(before));
    let word = rest.and_then(|rest| rest.split_whitespace().next());
    let number = word.and_then(|word| word.parse().ok());
    number.ok_or_else(|| format!("no {before} in {text}"))
}
