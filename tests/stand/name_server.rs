//! Real name servers, and how to ask them.

use super::{At, Dir, is_root, skipped, wait_until};
use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The name that the servers know.
pub(crate) const NAME: &str = "www.example.test";

/// A dnsmasq, killed when this goes.
pub(crate) struct NameServer {
    pub(crate) at: At,
    child: Child,
    dir: Dir,
}

impl NameServer {
    /// Answers with this address. `None`, said aloud, where there is no
    /// dnsmasq.
    pub(crate) fn start(at: At, address: Ipv4Addr) -> Option<NameServer> {
        NameServer::run(Command::new(program()?), at, address, &[])
    }

    /// The same in a network namespace, and there it notes each query.
    pub(crate) fn inside(namespace: &str, at: At, address: Ipv4Addr) -> Option<NameServer> {
        let mut ip = Command::new("ip");
        ip.args(["netns", "exec", namespace, program()?]);
        NameServer::run(ip, at, address, &["--log-queries"])
    }

    fn run(mut command: Command, at: At, address: Ipv4Addr, more: &[&str]) -> Option<NameServer> {
        let (addr, dir) = (at.inet(), Dir::new().open_to_all());
        command.args(["-k", "-C", "/dev/null", "--pid-file=", "--bind-interfaces"]);
        command.args(["--no-resolv", "--no-hosts"]).args(more);
        command.arg(format!("--log-facility={}", dir.file("log").display()));
        command.arg(format!("--listen-address={}", addr.ip()));
        command.arg(format!("--port={}", addr.port()));
        command.arg(format!("--address=/{NAME}/{address}"));
        if is_root() {
            command.arg("--user=root");
        }
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let mut server = NameServer { at, child, dir };
        wait_until("the name server starts", || {
            assert_eq!(server.child.try_wait().unwrap(), None, "it ended");
            server.log().contains("started, version ")
        });
        Some(server)
    }

    fn log(&self) -> String {
        fs::read_to_string(self.dir.file("log")).unwrap_or_default()
    }

    /// How many queries it has noted from an address.
    pub(crate) fn queries_from(&self, address: &str) -> usize {
        let log = self.log();
        let lines = log.lines().filter(|line| line.contains("query[A] "));
        lines.filter(|line| line.ends_with(&format!(" from {address}"))).count()
    }
}

impl Drop for NameServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Not every user's path has it.
fn program() -> Option<&'static str> {
    let mut known = ["/usr/sbin/dnsmasq", "/usr/local/sbin/dnsmasq"].into_iter();
    let program = known.find(|program| Path::new(program).exists());
    if program.is_none() {
        skipped("dnsmasq is not installed");
    }
    program
}

/// A query for the address of [`NAME`], RFC 1035.
pub(crate) fn query(id: u16) -> Vec<u8> {
    let mut packet = id.to_be_bytes().to_vec();
    // Recursion desired; one question.
    packet.extend([1, 0, 0, 1, 0, 0, 0, 0, 0, 0]);
    for label in NAME.split('.') {
        packet.push(label.len() as u8);
        packet.extend(label.as_bytes());
    }
    // The root; type A, class IN.
    packet.extend([0, 0, 1, 0, 1]);
    packet
}

/// The id of an answer, and the address in it.
pub(crate) fn answer(packet: &[u8]) -> (u16, Ipv4Addr) {
    let id = u16::from_be_bytes([packet[0], packet[1]]);
    // An answer without an error; one question, one address, which is last.
    assert_eq!((packet[2] & 0x80, packet[3] & 0x0f), (0x80, 0), "{packet:?}");
    assert_eq!(packet[4..8], [0, 1, 0, 1], "{packet:?}");
    let address: [u8; 4] = packet[packet.len() - 4..].try_into().unwrap();
    (id, address.into())
}
