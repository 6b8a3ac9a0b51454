//! `prepare TARGET DIR` makes what libFuzzer takes: `DIR/TARGET.dict`, its
//! dictionary, with the words of the tables of options and commands and what
//! other inputs are made of; and the corpus, a file for each input, in
//! `DIR/corpus/TARGET`.
//!
//! `prepare --pack DIR` prints the files of a directory as a corpus.

use pen::control::table;
use pen::logs::penlogd;
use pen::options;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs, io};

const HTTP: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "POST / HTTP/1.0\n",
    "CONNECT ",
    " HTTP/1.",
    "Content-Length: ",
    "Transfer-Encoding: ",
    "chunked",
    "gzip, ",
    "Upgrade: x",
    "X-Forwarded-For: ",
    "X-Forwarded-Proto: ",
    "X_Forwarded_For: ",
    "Connection: x-forwarded-for, ",
    "HEAD / HTTP/1.1\r\n",
    "HTTP/1.1 100 x\r\n\r\n",
    "HTTP/1.1 101 x\r\n\r\n",
    "HTTP/1.1 200 x\r\n\r\n",
    "\r\n",
    "\r\n\r\n",
    "\r\n ",
    "0\r\n\r\n",
    "5\r\n",
    ";x=y",
    "18446744073709551615",
    "7fffffffffffffff",
    "8000000000000000",
];

const WEB: &[&str] = &[
    "GET / HTTP/1.1\r\n",
    "HEAD /status.json?clients=1 HTTP/1.0\r\n",
    "POST http://a:1/control HTTP/1.1\r\n",
    " HTTP/1.",
    "Host: ",
    "Origin: http://",
    "Authorization: Basic ",
    "X-Pen-Token: ",
    "Content-Length: ",
    "4098",
    "18446744073709551616",
    "Transfer-Encoding: chunked",
    "Expect: 100-continue",
    "\r\n",
    "\r\n\r\n",
    "\r",
];

const PROXY: &[&str] = &[
    "PROXY ",
    "TCP4 192.0.2.1 192.0.2.2 56324 443",
    "TCP6 2001:db8::1 ::1 1 65535",
    "UNKNOWN",
    "\r\n",
    "\r\n\r\n\0\r\nQUIT\n",
    "\x21\x11\0\x0c",
    "\x21\x21\0\x24",
    "\x20\0\0\0",
    "\x03\0\x04",
];

const ADDRESSES: &[&str] = &[
    "127.0.0.1",
    "0.0.0.0",
    "::1",
    "[::1]:80",
    "[::ffff:192.0.2.1]",
    "fe80::1%1",
    "192.0.2.1:80:1:2:3:4",
    "/run/pen",
    "65535",
    "65536",
    "4294967295",
    "-2147483648",
    "18446744073709551615",
    "smtp",
    "255.255.0.0",
    "/64",
    // Habits of newcomers.
    "http://",
    ":80/",
    "*:80",
    "127.1",
    "=5",
];

const LOGS: &[&str] = &[
    "+ 198.51.100.7 192.0.2.1 GET /",
    "198.51.100.7 1000000000 192.0.2.1 GET /",
    "198.51.100.7 1000000000 2001:db8::1 ",
    "10.0.0.1 - - ",
    "[09/Sep/2001:01:46:40 +0000] ",
    "29/Feb/2000:23:59:60 -0930",
    ".123",
    "\"GET / HTTP/1.0\" 200 1",
    "\"GET /\"",
    " HTTP/1.1",
    "\\x41",
    "\\\"",
    "\\\\",
    "\\n",
    "unix",
    "web",
    "2001:db8::1",
    "::ffff:192.0.2.1",
    "\u{fe}",
    "@",
];

fn main() -> io::Result<()> {
    let words: Vec<String> = env::args().skip(1).collect();
    match &words[..] {
        [option, dir] if option == "--pack" => pack(Path::new(dir)),
        [target, dir] => prepare(target, Path::new(dir)),
        _ => Err(io::Error::other("expected TARGET DIR or --pack DIR")),
    }
}

fn pack(dir: &Path) -> io::Result<()> {
    let files = fs::read_dir(dir)?.map(|entry| fs::read(entry?.path()));
    let mut inputs = files.collect::<io::Result<Vec<_>>>()?;
    inputs.sort();
    for input in inputs {
        println!("{}", input.escape_ascii());
    }
    Ok(())
}

fn prepare(target: &str, dir: &Path) -> io::Result<()> {
    let text = fs::read_to_string(format!("tests/fuzz/corpus/{target}"))?;
    let corpus = dir.join("corpus").join(target);
    fs::create_dir_all(&corpus)?;
    for (number, input) in checks::inputs(&text).iter().enumerate() {
        fs::write(corpus.join(number.to_string()), input)?;
    }
    fs::write(dir.join(format!("{target}.dict")), dictionary(target))
}

fn dictionary(target: &str) -> String {
    let commands = || {
        let words = table::TABLE.iter().flat_map(|spec| {
            let args = spec.args.split(|c: char| !c.is_ascii_alphanumeric());
            args.chain([spec.name]).map(str::to_owned)
        });
        words.chain(["no ".to_owned(), "country".to_owned()])
    };
    let options = || options::TABLE.iter().map(|spec| format!("{}\n", spec.name()));
    let listeners = || penlogd::options::TABLE.iter().map(|spec| spec.name());
    let fixed = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let mut words = match target {
        "http" => fixed(HTTP),
        "proxy_protocol" => fixed(PROXY),
        "web" => fixed(WEB),
        "mergelogs" | "penlogd" => fixed(LOGS),
        "operands" => fixed(ADDRESSES).into_iter().chain(listeners()).collect(),
        "options" => options().chain(commands()).chain(fixed(ADDRESSES)).collect(),
        _ => commands().chain(fixed(ADDRESSES)).collect(),
    };
    words.retain(|word| !word.is_empty());
    words.sort();
    words.dedup();
    let mut text = String::new();
    for word in words {
        // One byte for each character, so that 0xFE is one.
        let bytes = word.chars().map(|c| format!("\\x{:02x}", c as u32));
        let _ = writeln!(text, "\"{}\"", bytes.collect::<String>());
    }
    text
}
