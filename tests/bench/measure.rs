//! Figures: from `/proc`, from the output of the load generators, and from
//! connections made here.

use crate::udp;
use std::fs;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// Units of `utime` and `stime` in `/proc/PID/stat` (proc(5), `USER_HZ`): 100
/// a second on every Linux that is not built specially.
const TICKS: f64 = 100.0;

/// How long an answer may take before it counts as none.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// More requests than `ab` can make in its time; it keeps room for all.
const MANY: &str = "80000";

/// The body that the back ends answer `/` with.
pub(crate) const BODY: &str = "pen bench\n";

/// The middle one; 0 of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    match sorted.len() {
        0 => 0.0,
        n if n % 2 == 1 => sorted[n / 2],
        n => f64::midpoint(sorted[n / 2 - 1], sorted[n / 2]),
    }
}

/// The fields of `/proc/PID/stat` behind the name, which may hold blanks: the
/// first is the state, the second the parent.
fn stat(pid: u32) -> Option<Vec<String>> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

/// A process, its children, theirs.
fn tree(pid: u32) -> Vec<u32> {
    let all: Vec<(u32, u32)> = fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
        .filter_map(|pid| Some((pid, stat(pid)?.get(1)?.parse().ok()?)))
        .collect();
    let mut family = vec![pid];
    let mut at = 0;
    while at < family.len() {
        let parent = family[at];
        family.extend(all.iter().filter(|(_, p)| *p == parent).map(|(c, _)| *c));
        at += 1;
    }
    family
}

/// Processor seconds that a process and its children have used, those children
/// included that have ended (`cutime` and `cstime`): socat has many.
pub(crate) fn cpu_seconds(pid: u32) -> f64 {
    let ticks = |pid| -> Option<f64> {
        let fields = stat(pid)?;
        let times = fields.get(11..15)?;
        times.iter().map(|word| word.parse::<f64>().ok()).sum()
    };
    tree(pid).into_iter().filter_map(ticks).sum::<f64>() / TICKS
}

/// KiB of memory (RSS) that a process and its children hold. What several of
/// them share counts for each.
pub(crate) fn rss_kib(pid: u32) -> f64 {
    let rss = |pid| -> Option<f64> {
        let text = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        line.split_whitespace().next()?.parse().ok()
    };
    tree(pid).into_iter().filter_map(rss).sum()
}

/// KiB of memory that this machine could still give (proc(5), `MemAvailable`).
pub(crate) fn available_kib() -> f64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    number_after(&text, "MemAvailable:").unwrap_or(0.0)
}

/// Processes that wanted a processor, on average over the last minute.
pub(crate) fn load() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let first = text.split_whitespace().next();
    first.and_then(|word| word.parse().ok()).unwrap_or(0.0)
}

fn output(tool: &Path, words: &[&str]) -> Result<String, String> {
    let name = tool.display();
    let output = Command::new(tool)
        .args(words)
        .stdin(Stdio::null())
        .output()
        .map_err(|e| format!("{name}: {e}"))?;
    if !output.status.success() {
        let why = String::from_utf8_lossy(&output.stderr);
        let why = why.lines().last().unwrap_or("no message");
        return Err(format!("{name} {}: {why}", words.join(" ")));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The first word behind `label`, a number.
fn number_after(text: &str, label: &str) -> Option<f64> {
    let (_, rest) = text.split_once(label)?;
    rest.split_whitespace().next()?.parse().ok()
}

/// What `ab` found.
pub(crate) struct Ab {
    pub(crate) per_second: f64,
    pub(crate) done: f64,
    pub(crate) p99_ms: f64,
}

/// Runs `ab` for a second, so many at a time, with a new connection for each
/// request; from the address `from`, if there is one. A request that failed is
/// an error.
pub(crate) fn ab(
    tool: &Path,
    scratch: &Path,
    to: SocketAddr,
    count: u32,
    from: Option<Ipv4Addr>,
) -> Result<Ab, String> {
    let csv = scratch.join("ab.csv");
    let (url, csv_name) = (format!("http://{to}/"), csv.display().to_string());
    let (count, from) = (count.to_string(), from.map(|from| from.to_string()));
    let mut words = vec!["-q", "-c", &count, "-e", &csv_name];
    if let Some(from) = &from {
        words.extend(["-B", from]);
    }
    words.extend(["-t", "1", "-n", MANY, &url]); // -t would set -n
    let text = output(tool, &words)?;
    let failed = number_after(&text, "Failed requests:");
    let strange = number_after(&text, "Non-2xx responses:");
    if failed != Some(0.0) || strange.is_some() {
        return Err(format!(
            "ab: {} failed requests, {} answers of another kind",
            failed.unwrap_or(f64::NAN),
            strange.unwrap_or(0.0)
        ));
    }
    // The printed percentiles are whole milliseconds; the file has fractions.
    let table = fs::read_to_string(&csv).map_err(|e| format!("{csv_name}: {e}"))?;
    let p99_ms = table.lines().find_map(|line| line.strip_prefix("99,"));
    let found = number_after(&text, "Requests per second:")
        .zip(number_after(&text, "Complete requests:"))
        .zip(p99_ms.and_then(|word| word.parse().ok()));
    let ((per_second, done), p99_ms) = found.ok_or("ab: output not understood")?;
    Ok(Ab { per_second, done, p99_ms })
}

/// Runs `wrk` for some seconds over connections that stay; requests a second.
pub(crate) fn wrk(
    tool: &Path,
    to: SocketAddr,
    connections: u32,
    seconds: u32,
) -> Result<f64, String> {
    let (count, time) = (format!("-c{connections}"), format!("-d{seconds}s"));
    let text = output(tool, &["-t1", &count, &time, &format!("http://{to}/")])?;
    // An answer that takes more than two seconds counts as a timeout, but comes.
    let late = |line: &str| line.contains("connect 0, read 0, write 0,");
    let bad =
        |line: &&str| line.contains("Non-2xx") || (line.contains("Socket errors") && !late(line));
    if let Some(line) = text.lines().find(bad) {
        return Err(format!("wrk: {}", line.trim()));
    }
    number_after(&text, "Requests/sec:").ok_or_else(|| "wrk: output not understood".to_owned())
}

/// What the load generator for UDP found.
pub(crate) struct Datagrams {
    pub(crate) per_second: f64,
    pub(crate) answers: f64,
    pub(crate) lost: f64,
    pub(crate) strayed: f64,
}

/// Runs the load generator for UDP.
pub(crate) fn datagrams(to: SocketAddr, clients: u32) -> Result<Datagrams, String> {
    let program = std::env::current_exe().map_err(|e| e.to_string())?;
    let words = [udp::LOAD, &to.to_string(), &clients.to_string()];
    let text = output(&program, &words)?;
    let number = |label| number_after(&text, label).ok_or_else(|| format!("no {label:?}"));
    Ok(Datagrams {
        per_second: number(udp::RATE)?,
        answers: number(udp::ANSWERS)?,
        lost: number(udp::LOST)?,
        strayed: number(udp::STRAYED)?,
    })
}

/// Connects, so that whatever takes long fails.
pub(crate) fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect_timeout(&to, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    Ok(stream)
}

/// Asks for `/` over a connection that stays open, and waits for the answer.
pub(crate) fn ask(stream: &mut TcpStream) -> io::Result<()> {
    stream.write_all(b"GET / HTTP/1.1\r\nHost: bench\r\n\r\n")?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    while !answer.ends_with(BODY.as_bytes()) {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => answer.extend_from_slice(&part[..n]),
        }
    }
    Ok(())
}

/// Asks for `/` over a connection that the server ends, as `ab` does.
pub(crate) fn ask_once(mut stream: TcpStream) -> io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    match answer.ends_with(BODY.as_bytes()) {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
