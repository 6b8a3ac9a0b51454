//! Streams that carry as much as they can, up or down, and what a small
//! request has to wait while they do.
//!
//! The streams run on while something is measured in their midst, so that
//! neither their start nor their end is in the figures. Each fetches or sends
//! one large body after the other over a connection that stays.

use crate::measure::{self, BODY};
use crate::peers::{BULK, BULK_PATH, Peer};
use crate::rows::Row;
use crate::work::{Found, cost, cpu};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// Streams at the same time.
pub(crate) const STREAMS: [u32; 2] = [1, 8];

/// Until the streams run evenly.
const WARM_UP: Duration = Duration::from_millis(100);

/// How long they are measured.
const WINDOW: Duration = Duration::from_millis(500);

/// Small requests are sent for so long.
const ASKING: Duration = Duration::from_millis(800);

/// The streams that are in their way.
const IN_THE_WAY: u32 = 8;

/// Bytes of one read or write.
const PART: usize = 256 * 1024;

/// Which way the bytes go.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
}

/// Throughput one way, for one stream and for several.
pub(crate) fn bulk(peer: &Peer, way: Way) -> Found {
    let mut found = Vec::new();
    for count in STREAMS {
        let (gigabytes, seconds, used) = streams(peer.address, way, count, |moved| {
            let (start, cpu_before, before) = (Instant::now(), cpu(peer), moved.load(Relaxed));
            thread::sleep(WINDOW);
            let gigabytes = (moved.load(Relaxed) - before) as f64 / 1e9;
            let used = cpu(peer) - cpu_before;
            (gigabytes, start.elapsed().as_secs_f64(), used)
        })?;
        if gigabytes == 0.0 {
            return Err(format!("{count} streams: nothing moves"));
        }
        let (rate, per_gigabyte) = match way {
            Way::Down => (Row::DownRate(count), Row::DownCpu(count)),
            Way::Up => (Row::UpRate(count), Row::UpCpu(count)),
        };
        found.push((rate, gigabytes / seconds));
        cost(&mut found, per_gigabyte, peer, used / gigabytes);
    }
    Ok(found)
}

/// What one client waits for the small answer while others download.
pub(crate) fn delay(peer: &Peer) -> Found {
    let (mut waits, rate) = streams(peer.address, Way::Down, IN_THE_WAY, |moved| {
        let (start, before) = (Instant::now(), moved.load(Relaxed));
        let waits = asking(peer.address).map_err(|e| format!("a small request: {e}"))?;
        let moved = moved.load(Relaxed) - before;
        Ok::<_, String>((waits, moved as f64 / 1e9 / start.elapsed().as_secs_f64()))
    })??;
    waits.sort_by(f64::total_cmp);
    let p99 = waits[(waits.len() - 1) * 99 / 100];
    Ok(vec![
        (Row::DelayMedian, measure::median(&waits)),
        (Row::DelayP99, p99),
        (Row::DelayRate, rate),
    ])
}

/// Milliseconds that each of the small requests takes.
fn asking(to: SocketAddr) -> io::Result<Vec<f64>> {
    let mut stream = measure::connect(to)?;
    let mut waits = Vec::new();
    let end = Instant::now() + ASKING;
    while waits.is_empty() || Instant::now() < end {
        let start = Instant::now();
        measure::ask(&mut stream)?;
        waits.push(start.elapsed().as_secs_f64() * 1000.0);
    }
    Ok(waits)
}

/// Does `work` while so many streams run; it gets the bytes they have moved.
fn streams<R>(
    to: SocketAddr,
    way: Way,
    count: u32,
    work: impl FnOnce(&AtomicU64) -> R,
) -> Result<R, String> {
    let (moved, end) = (AtomicU64::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let stream = || match way {
            Way::Down => download(to, &moved, &end),
            Way::Up => upload(to, &moved, &end),
        };
        let all: Vec<_> = (0..count).map(|_| scope.spawn(stream)).collect();
        thread::sleep(WARM_UP);
        let result = work(&moved);
        end.store(true, Relaxed);
        for stream in all {
            let stream = stream.join().map_err(|_| "a stream panicked".to_owned())?;
            stream.map_err(|e| format!("a stream failed: {e}"))?;
        }
        Ok(result)
    })
}

/// Fetches the large file again and again, until the end.
fn download(to: SocketAddr, moved: &AtomicU64, end: &AtomicBool) -> io::Result<()> {
    let mut stream = measure::connect(to)?;
    let mut part = vec![0; PART];
    loop {
        stream.write_all(format!("GET {BULK_PATH} HTTP/1.1\r\nHost: bench\r\n\r\n").as_bytes())?;
        let (length, begun) = head(&mut stream, &mut part)?;
        if length != BULK {
            return Err(io::Error::other(format!("{length} bytes, not {BULK}")));
        }
        let mut left = length - begun;
        while left > 0 {
            if end.load(Relaxed) {
                return Ok(());
            }
            let n = match stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => n as u64,
            };
            moved.fetch_add(n, Relaxed);
            left = left.checked_sub(n).ok_or_else(|| io::Error::other("too many bytes"))?;
        }
    }
}

/// Sends a body as large again and again, until the end.
fn upload(to: SocketAddr, moved: &AtomicU64, end: &AtomicBool) -> io::Result<()> {
    let mut stream = measure::connect(to)?;
    let mut part = vec![b'.'; PART];
    loop {
        stream.write_all(
            format!("POST / HTTP/1.1\r\nHost: bench\r\nContent-Length: {BULK}\r\n\r\n").as_bytes(),
        )?;
        for _ in 0..BULK / PART as u64 {
            if end.load(Relaxed) {
                return Ok(());
            }
            stream.write_all(&part)?;
            moved.fetch_add(PART as u64, Relaxed);
        }
        let (length, mut begun) = head(&mut stream, &mut part)?;
        while begun < length {
            match stream.read(&mut part)? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                n => begun += n as u64,
            }
        }
        if length != BODY.len() as u64 {
            return Err(io::Error::other("an upload was not taken"));
        }
    }
}

/// Reads the head of an answer: the length of its body, and how many of its
/// bytes came along.
fn head(stream: &mut TcpStream, part: &mut [u8]) -> io::Result<(u64, u64)> {
    let mut head = Vec::new();
    loop {
        match stream.read(part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            n => head.extend_from_slice(&part[..n]),
        }
        let Some(at) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
            continue;
        };
        let text = String::from_utf8_lossy(&head[..at]);
        let length = text
            .lines()
            .find_map(|line| line.strip_prefix("Content-Length: "))
            .and_then(|word| word.trim().parse().ok())
            .ok_or_else(|| io::Error::other("an answer without a length"))?;
        return Ok((length, (head.len() - at - 4) as u64));
    }
}
