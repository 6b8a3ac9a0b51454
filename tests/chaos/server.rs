//! A server behind pen, a process of its own - a copy of this program - so that
//! it can be killed and stopped.
//!
//! It says its number to everyone who comes, then does what the client's first
//! byte says: [`ECHO`] sends everything back, [`SEND`] sends as much of a
//! pattern as is asked for. How well it does that, its standard input says
//! ([`Manner`]); it ends when that ends.

use crate::stand::{At, Host, pattern};
use crate::talk::STARTING;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

/// The argument that makes a copy of this program a server; behind it its
/// number and where it listens.
pub(crate) const ROLE: &str = "--server";

/// The first byte of a client who wants everything back.
pub(crate) const ECHO: u8 = b'e';

/// The first byte of a client who wants to be sent something: a pattern's
/// number follows (2 bytes, big-endian) and a length (4 bytes).
pub(crate) const SEND: u8 = b's';

/// In the number that the server says of itself: it is going to reset this
/// connection.
pub(crate) const DOOMED: u8 = 0x80;

/// What a resetting server sends back before that.
const LAST_WORDS: usize = 1000;

/// How a server treats who comes from now on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// As it should.
    Well,
    /// Nobody listens.
    Refusing,
    /// Accepts, and closes without a word.
    Closing,
    /// Resets the connection in the middle.
    Resetting,
    /// Takes little at a time, and sleeps.
    Slow,
}

impl Manner {
    const ALL: [Manner; 5] =
        [Manner::Well, Manner::Refusing, Manner::Closing, Manner::Resetting, Manner::Slow];

    fn from_word(word: &str) -> Option<Manner> {
        let mut all = Manner::ALL.into_iter();
        all.find(|manner| format!("{manner:?}") == word)
    }
}

/// A process that answers each line on its standard input with a number. It is
/// killed when this goes.
pub(crate) struct LineProcess {
    child: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl LineProcess {
    pub(crate) fn start(mut command: Command) -> LineProcess {
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let held = STARTING.lock();
        let mut child = command.spawn().unwrap();
        drop(held);
        let stdin = child.stdin.take().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        LineProcess { child, stdin, stdout }
    }

    pub(crate) fn ask(&mut self, line: &str) -> usize {
        writeln!(self.stdin, "{line}").unwrap();
        self.answer()
    }

    fn answer(&mut self) -> usize {
        let mut line = String::new();
        self.stdout.read_line(&mut line).unwrap();
        let number = line.trim().parse();
        number.unwrap_or_else(|_| panic!("a number was expected: {line:?}"))
    }
}

impl Drop for LineProcess {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server as the rows see it.
pub(crate) struct Server {
    pub(crate) at: At,
    pub(crate) number: u8,
    process: Option<LineProcess>,
}

impl AsRef<At> for Server {
    fn as_ref(&self) -> &At {
        &self.at
    }
}

impl Server {
    /// Three servers, started.
    pub(crate) fn three(host: &Host) -> Vec<Server> {
        (0..3).map(|number| Server::new(host.at(), number)).collect()
    }

    fn new(at: At, number: u8) -> Server {
        let mut server = Server { at, number, process: None };
        server.start();
        server
    }

    /// Starts it again, where it was; it listens when this returns.
    pub(crate) fn start(&mut self) {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args([ROLE, &self.number.to_string(), &self.at.to_string()]);
        self.process.insert(LineProcess::start(command)).answer();
    }

    fn process(&mut self) -> &mut LineProcess {
        self.process.as_mut().expect("the server runs")
    }

    pub(crate) fn pid(&mut self) -> u32 {
        self.process().child.id()
    }

    /// Kills it. It has gone when this returns, with all its sockets.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Changes its manner; it has changed when this returns. How many
    /// connections it has closed or reset so far.
    pub(crate) fn treat(&mut self, manner: Manner) -> usize {
        self.process().ask(&format!("{manner:?}"))
    }
}

/// What the threads of a server share.
struct Shared {
    number: u8,
    manner: AtomicU8,
    stopping: AtomicBool,
    /// Connections that were closed or reset.
    broken: AtomicUsize,
}

/// Plays the role, if the arguments name it.
pub(crate) fn play(words: &[String]) -> Option<ExitCode> {
    let (ROLE, [number, at]) = words.split_first().map(|(role, rest)| (&**role, rest))? else {
        return None;
    };
    match serve(number.parse().unwrap_or(0), at) {
        Ok(()) => Some(ExitCode::SUCCESS),
        Err(e) => {
            eprintln!("server {number} at {at}: {e}");
            Some(ExitCode::FAILURE)
        }
    }
}

fn serve(number: u8, at: &str) -> io::Result<()> {
    let at: SocketAddr = at.parse().map_err(io::Error::other)?;
    let shared = Arc::new(Shared {
        number,
        manner: AtomicU8::new(Manner::Well as u8),
        stopping: AtomicBool::new(false),
        broken: AtomicUsize::new(0),
    });
    let mut acceptor = Some(open(&shared, at)?);
    println!("0");
    for line in io::stdin().lines() {
        let manner = Manner::from_word(&line?).ok_or_else(|| io::Error::other("what?"))?;
        shared.manner.store(manner as u8, SeqCst);
        if manner == Manner::Refusing {
            if let Some(thread) = acceptor.take() {
                shared.stopping.store(true, SeqCst);
                // Wakes it.
                drop(TcpStream::connect(at));
                let _ = thread.join();
                shared.stopping.store(false, SeqCst);
            }
        } else if acceptor.is_none() {
            acceptor = Some(open(&shared, at)?);
        }
        println!("{}", shared.broken.load(SeqCst));
    }
    Ok(())
}

/// Listens, on a thread of its own.
fn open(shared: &Arc<Shared>, at: SocketAddr) -> io::Result<thread::JoinHandle<()>> {
    let listener = TcpListener::bind(at)?;
    let shared = Arc::clone(shared);
    Ok(thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.stopping.load(SeqCst) {
                return;
            }
            let Ok(stream) = stream else { continue };
            let manner = shared.manner.load(SeqCst);
            let manner = Manner::ALL[usize::from(manner)];
            if manner == Manner::Closing {
                shared.broken.fetch_add(1, SeqCst);
                continue;
            }
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                // A client that goes is not the server's trouble.
                let _ = converse(&shared, &stream, manner);
            });
        }
    }))
}

fn converse(shared: &Shared, mut stream: &TcpStream, manner: Manner) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let doomed = manner == Manner::Resetting;
    stream.write_all(&[shared.number | if doomed { DOOMED } else { 0 }])?;
    let mut kind = [0];
    stream.read_exact(&mut kind)?;
    if doomed {
        shared.broken.fetch_add(1, SeqCst);
        let mut data = [0; LAST_WORDS];
        if kind == [ECHO] {
            let count = stream.read(&mut data)?;
            stream.write_all(&data[..count])?;
        }
        // A socket that is closed with unread data sends RST instead of FIN.
        stream.peek(&mut data)?;
        return Ok(());
    }
    let (room, rest) = match manner {
        Manner::Slow => (16 * 1024, Duration::from_millis(10)),
        _ => (64 * 1024, Duration::ZERO),
    };
    if kind == [SEND] {
        let mut what = [0; 6];
        stream.read_exact(&mut what)?;
        let [a, b, length @ ..] = what;
        let (number, length) = (u16::from_be_bytes([a, b]), u32::from_be_bytes(length));
        let mut sent = 0;
        while sent < u64::from(length) {
            let piece = room.min((u64::from(length) - sent) as usize);
            sent += stream.write(pattern(number.into(), sent, piece))? as u64;
            thread::sleep(rest);
        }
        return Ok(());
    }
    let mut buffer = vec![0; room];
    loop {
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..count])?;
        thread::sleep(rest);
    }
}
