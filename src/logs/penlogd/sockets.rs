//! penlogd's sockets. Each has a thread that only receives, because the kernel
//! queues few datagrams.

use super::collector::Event;
use super::options::Listen;
use crate::logs::penlog::MAX_DATAGRAM;
use crate::sys::message;
use crate::sys::process;
use std::io::ErrorKind;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::mpsc::SyncSender;
use std::thread;
use std::time::Duration;

/// Opens the sockets. The error names each address that could not be bound, one
/// to a line.
pub(super) fn open(listen: &Listen) -> Result<Vec<UdpSocket>, String> {
    match listen {
        Listen::Everywhere(port) => everywhere(*port),
        Listen::At(all) => at(all),
    }
}

fn bind(addr: SocketAddr) -> Result<UdpSocket, String> {
    UdpSocket::bind(addr).map_err(|e| format!("{addr}: cannot listen: {e}"))
}

/// Binds all addresses of a name that can be bound; one is enough.
fn at(all: &[SocketAddr]) -> Result<Vec<UdpSocket>, String> {
    let (mut sockets, mut complaints) = (Vec::new(), Vec::new());
    for addr in all {
        match bind(*addr) {
            Ok(socket) => sockets.push(socket),
            Err(why) => complaints.push(why),
        }
    }
    if sockets.is_empty() {
        return Err(complaints.join("\n"));
    }
    complaints.iter().for_each(message::warn);
    Ok(sockets)
}

/// Binds the port for IPv4 and IPv6. On some systems an IPv6 socket receives
/// IPv4 as well, and then no IPv4 socket can have the same port; on others each
/// needs its own. So this tries.
fn everywhere(port: u16) -> Result<Vec<UdpSocket>, String> {
    let (v4, v6) = (Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into());
    let (v4, v6) = (SocketAddr::new(v4, port), SocketAddr::new(v6, port));
    // If this fails, another program has the port.
    let first = bind(v4)?;
    if let Ok(second) = bind(v6) {
        return Ok(vec![first, second]);
    }
    drop(first);
    match bind(v6) {
        // Only our own IPv4 socket was in the way, so this one receives both.
        Ok(both) => Ok(vec![both]),
        Err(why) => {
            message::debug(1, || format!("no IPv6: {why}"));
            Ok(vec![bind(v4)?])
        }
    }
}

/// Starts a receiving thread for each socket.
pub(super) fn start(sockets: Vec<UdpSocket>, queue: &SyncSender<Event>) -> Result<(), String> {
    for socket in sockets {
        let queue = queue.clone();
        process::spawn("receive", move || receive(&socket, &queue))?;
    }
    Ok(())
}

/// Queues datagrams until the collector has gone. What is longer than penlog's
/// longest datagram is cut.
fn receive(socket: &UdpSocket, queue: &SyncSender<Event>) {
    let mut buffer = [0; MAX_DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer) {
            Ok((count, from)) => {
                let data = buffer.get(..count).unwrap_or_default().to_vec();
                if queue.send(Event::Datagram(from.ip(), data)).is_err() {
                    return; // the collector has ended
                }
            }
            Err(e) if e.kind() == ErrorKind::Interrupted => {}
            Err(e) => {
                message::say_seldom(format_args!("cannot receive: {e}"));
                // The failure may last, so the thread does not spin.
                thread::sleep(Duration::from_millis(100));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A port that nobody else has, and its sockets.
    fn on_a_free_port() -> (u16, Vec<UdpSocket>) {
        for _ in 0..100 {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            let port = socket.local_addr().unwrap().port();
            drop(socket);
            if let Ok(sockets) = everywhere(port) {
                return (port, sockets);
            }
        }
        panic!("no free port");
    }

    #[test]
    fn both_families_arrive() {
        let (port, sockets) = on_a_free_port();
        let (queue, events) = std::sync::mpsc::sync_channel(10);
        start(sockets, &queue).unwrap();
        let mut hosts = vec!["127.0.0.1"];
        if UdpSocket::bind("[::1]:0").is_ok() {
            hosts.push("::1");
        }
        for host in hosts {
            let socket = UdpSocket::bind((host, 0)).unwrap();
            socket.send_to(host.as_bytes(), (host, port)).unwrap();
            let event = events.recv_timeout(Duration::from_secs(20)).unwrap();
            let Event::Datagram(from, data) = event else {
                panic!("not a datagram");
            };
            let host: std::net::IpAddr = host.parse().unwrap();
            assert_eq!(from.to_canonical(), host);
            assert_eq!(data, host.to_string().as_bytes());
        }
        let why = everywhere(port).unwrap_err();
        assert!(why.starts_with(&format!("0.0.0.0:{port}: ")), "{why}");
    }

    #[test]
    fn one_address_of_several_is_enough() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let taken = socket.local_addr().unwrap();
        let why = at(&[taken]).unwrap_err();
        assert!(why.starts_with(&format!("{taken}: ")), "{why}");
        let free = SocketAddr::new(taken.ip(), 0);
        assert_eq!(at(&[taken, free]).unwrap().len(), 1);
    }
}
