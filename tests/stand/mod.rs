//! What the tests stand on: hosts, daemons, servers, clients.
//!
//! No test sleeps in the hope that something has happened meanwhile: it waits
//! until it has, [`PATIENCE`] at most. Where the passing of time is itself the
//! thing tested, the test looks at a clock.

mod at;
mod client;
mod daemon;
mod datagrams;
pub(crate) mod differences;
mod etc;
mod files;
mod host;
mod name_server;
mod namespace;
mod process;
mod real_server;
mod servers;
mod starter;
mod system_log;
mod verdict;
mod web;

pub(crate) use at::At;
pub(crate) use client::{Caller, Callers, Client, free_v6};
pub(crate) use daemon::{Background, Held, Pen};
pub(crate) use datagrams::{Asker, LONGEST, Responder, free_datagram_port};
pub(crate) use differences::better;
pub(crate) use etc::{own_etc, with_etc};
pub(crate) use files::{Dir, pattern, same_pattern};
pub(crate) use host::{Host, Port};
pub(crate) use name_server::{NAME, NameServer, answer, query};
pub(crate) use namespace::Namespace;
pub(crate) use process::{Status, errors_when_left, finish, full_output, refused, run, signal};
pub(crate) use real_server::RealServer;
pub(crate) use servers::{Backend, Server, full_queue, stale_socket};
pub(crate) use starter::Starter;
pub(crate) use system_log::SystemLog;
pub(crate) use verdict::{aside, better, c_program, compared, known, root, skipped, worse};
pub(crate) use web::{Answer, ask_web, curl, get};

use std::fmt::Display;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails. Long, as the machine
/// may be busy with other work; a test that passes never waits this long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `condition` holds.
pub(crate) fn wait_until(what: impl Display, condition: impl FnMut() -> bool) {
    wait_for(PATIENCE, what, condition);
}

/// Waits so long until `condition` holds.
pub(crate) fn wait_for(limit: Duration, what: impl Display, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + limit;
    while !condition() {
        assert!(Instant::now() < end, "waited in vain: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The program under test.
pub(crate) fn pen_program() -> PathBuf {
    program("pen")
}

/// The program of this name from the package under test.
pub(crate) fn program(name: &str) -> PathBuf {
    verdict::runs();
    path_of(name)
}

fn path_of(name: &str) -> PathBuf {
    match std::env::var_os("PEN_BIN_DIR") {
        Some(dir) => PathBuf::from(dir).join(name),
        None => our_program().with_file_name(name),
    }
}

/// The program of this package, whatever is under test.
pub(crate) fn our_program() -> PathBuf {
    PathBuf::from(env!("CARGO_BIN_EXE_pen"))
}

/// Whether the program under test is the C program.
pub(crate) fn is_c_pen() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| is_strange(&path_of("pen")))
}

/// Whether this is not our program: the C program has no `--version`.
fn is_strange(program: &Path) -> bool {
    let output = Command::new(program).arg("--version").output();
    let output = output.expect("the program under test runs");
    !output.stdout.starts_with(b"pen ")
}

/// The letter of the server that the hash gives to a client at 127.0.0.`last`,
/// by the formula that the C program has: the address as the number whose
/// bytes in memory are the address in network order, with `-r` the port
/// likewise. The byte order is that of the program under test, and an emulated
/// one need not have ours.
pub(crate) fn hashed(last: u8, port: Option<u16>, servers: u32) -> String {
    let is_big_endian = match std::env::var("PEN_BYTE_ORDER") {
        Ok(order) => order == "big",
        Err(_) => cfg!(target_endian = "big"),
    };
    let (address, port) = ([127, 0, 0, last], port.unwrap_or(0));
    let number = match is_big_endian {
        true => u32::from_be_bytes(address) ^ u32::from(port),
        false => u32::from_le_bytes(address) ^ u32::from(port.swap_bytes()),
    };
    char::from(b'A' + (number % servers) as u8).to_string()
}

/// Whether the tests run as root, and with them pen.
pub(crate) fn is_root() -> bool {
    std::fs::metadata("/proc/self").unwrap().uid() == 0
}
