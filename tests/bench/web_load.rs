//! Those who look at the web interface, and those who only disturb it, while
//! pen has its usual work: the rate may not change by more than 5 %.

use crate::peers::{Behind, IN_TURN, Peer, Site, Who};
use crate::rows::Row;
use crate::work::Found;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Pages open at the same time; each asks once a second.
pub(crate) const PAGES: u32 = 1000;

/// Slow readers, and as many who send garbage.
const OTHERS: usize = 20;

/// Short connections at the same time.
const AT_ONCE: u32 = 50;

/// Seconds measured, by turns with and without them.
const TURNS: usize = 3;

/// A thread needs no more.
const STACK: usize = 128 * 1024;

/// Those who look, until dropped.
struct WebLoad {
    over: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<()>>,
}

impl WebLoad {
    fn start(web: SocketAddr) -> Result<WebLoad, String> {
        let mut load =
            WebLoad { over: Arc::default(), served: Arc::default(), threads: Vec::new() };
        let kinds = [
            (PAGES as usize, look as fn(SocketAddr) -> bool),
            (OTHERS, read_nothing),
            (OTHERS, send_garbage),
        ];
        for (count, act) in kinds {
            for _ in 0..count {
                let (over, served) = (Arc::clone(&load.over), Arc::clone(&load.served));
                let life = move || {
                    while !over.load(Relaxed) {
                        served.fetch_add(usize::from(act(web)), Relaxed);
                        thread::sleep(Duration::from_secs(1));
                    }
                };
                let thread = thread::Builder::new().stack_size(STACK).spawn(life);
                load.threads.push(thread.map_err(|e| e.to_string())?);
            }
        }
        Ok(load)
    }
}

impl Drop for WebLoad {
    fn drop(&mut self) {
        self.over.store(true, Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

fn connect(web: SocketAddr) -> Option<TcpStream> {
    let limit = Duration::from_secs(5);
    let stream = TcpStream::connect_timeout(&web, limit).ok()?;
    stream.set_read_timeout(Some(limit)).ok()?;
    Some(stream)
}

/// As the page does it; whether it was answered.
fn look(web: SocketAddr) -> bool {
    ask(web).is_some_and(|mut stream| {
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).is_ok() && answer.starts_with(b"HTTP/1.1 200 ")
    })
}

fn ask(web: SocketAddr) -> Option<TcpStream> {
    let mut stream = connect(web)?;
    let request = format!("GET /status.json HTTP/1.1\r\nHost: {web}\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    Some(stream)
}

/// Asks, and does not take the answer.
fn read_nothing(web: SocketAddr) -> bool {
    let stream = ask(web);
    thread::sleep(Duration::from_secs(2));
    drop(stream);
    false
}

fn send_garbage(web: SocketAddr) -> bool {
    if let Some(mut stream) = connect(web) {
        let garbage: Vec<u8> = (0..=255).cycle().take(1000).collect();
        let _ = stream.write_all(&garbage);
        let _ = stream.read(&mut [0; 512]);
    }
    false
}

/// A pen with a web interface, and where that is.
pub(crate) fn start(site: &Site) -> Result<(Peer, SocketAddr), String> {
    let web = site.another();
    let word = web.to_string();
    let mut options = IN_TURN.to_vec();
    options.extend(["--web", &word]);
    // As root it has none without a user.
    if std::fs::metadata("/proc/self").is_ok_and(|me| std::os::unix::fs::MetadataExt::uid(&me) == 0)
    {
        options.extend(["-u", "root"]);
    }
    Ok((site.start(Who::Ours, Behind::Web, &options)?, web))
}

/// One round: the rate without them and with them, by turns.
pub(crate) fn look_at(site: &Site, peer: &Peer, web: SocketAddr) -> Found {
    let mut found = Vec::new();
    for _ in 0..TURNS {
        let ab = site.ab(peer.address, AT_ONCE, None)?;
        found.push((Row::Unseen, ab.per_second));
        let load = WebLoad::start(web)?;
        thread::sleep(Duration::from_secs(2));
        let before = load.served.load(Relaxed);
        let ab = site.ab(peer.address, AT_ONCE, None)?;
        found.push((Row::Seen, ab.per_second));
        if load.served.load(Relaxed) == before {
            return Err("nobody was answered who looked".to_owned());
        }
    }
    Ok(found)
}
