//! Server and listen operands: what was read is written so that it reads the
//! same; a complaint names the word; and all parts of an operand are read that
//! was put together from parts.
//!
//! An input is a word, or if its first byte is odd, the parts.

use super::harmless;
use pen::getopt::Invocation;
use pen::logs::penlogd::options::{self, Listen};
use pen::pool::server::Server;
use pen::sys::addr::{self, Endpoint, Host, ServerSpec, Share};
use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};

pub fn check(data: &[u8]) {
    match data.split_first() {
        Some((first, parts)) if first % 2 == 1 => built(parts),
        Some((_, word)) => {
            let word = String::from_utf8_lossy(word);
            if harmless::server(&word) {
                server(&word);
            }
            if harmless::listen(&word) {
                listen(&word);
            }
        }
        None => {}
    }
}

fn server(word: &str) {
    let with = addr::server(word, Some(80.into()));
    let without = addr::server(word, None);
    match (with, without) {
        (Err(with), Err(without)) => {
            assert!(without == with || without.contains("no port"), "{without}");
            assert!(with.starts_with(&format!("{word}:")), "{with}");
        }
        (Err(with), Ok(spec)) => panic!("{with}, but without a port {spec:?}"),
        (Ok(spec), without) => {
            match without {
                Ok(same) => assert_eq!(spec, same),
                Err(why) => assert!(spec.port == 80 && why.contains("no port"), "{why}"),
            }
            let operand = Server::new(spec.clone()).operand(false);
            let again = addr::server(&operand, None);
            // A name is written as its address.
            let again = again.map(|again| ServerSpec { name: spec.name.clone(), ..again });
            assert_eq!(again, Ok(spec), "{operand}");
        }
    }
}

fn listen(word: &str) {
    let read = |word: &str| match options::read(&[OsString::from("--"), word.into()]) {
        Ok(Invocation::Run(plan)) => Ok(plan.listen),
        Ok(Invocation::Print(text)) => panic!("{text}"),
        Err(why) => Err(why),
    };
    match addr::endpoint(word) {
        Err(why) => {
            assert!(why.starts_with(&format!("{word}:")), "{why}");
            assert_eq!(read(word), Err(why));
        }
        Ok(Endpoint::Unix(path)) => {
            assert_eq!(path.to_str(), Some(word));
            assert!(read(word).is_err());
        }
        Ok(endpoint) => {
            let Endpoint::Inet(all) = &endpoint else { return };
            let words = all.iter().map(SocketAddr::to_string);
            for word in words.filter(|word| !word.contains('%')) {
                assert_eq!(addr::endpoint(&word), Ok(endpoint.clone()), "{word}");
            }
            let wanted = match (endpoint.port(), word.contains(':')) {
                (None, _) => return assert!(read(word).is_err()),
                (Some(port), false) => Listen::Everywhere(port),
                (Some(_), true) => Listen::At(all.clone()),
            };
            assert_eq!(read(word), Ok(wanted));
        }
    }
}

/// A host, a port and numbers, the first byte saying which are left out.
fn built(parts: &[u8]) {
    let Some((&[there, prio, port @ ..], rest)) = parts.split_first_chunk::<4>() else { return };
    let Some((numbers, host)) = rest.split_first_chunk::<12>() else { return };
    let number = |at: usize| {
        let bytes = numbers[at..at + 4].try_into().unwrap();
        u32::from_be_bytes(bytes)
    };
    let ip: Option<IpAddr> = match host.len() {
        4 => <[u8; 4]>::try_from(host).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(host).ok().map(IpAddr::from),
        _ => None,
    };
    let (text, name, host, port) = match ip {
        Some(ip) => {
            let host = match ip.to_canonical() {
                IpAddr::V4(ip) if ip.is_unspecified() => Host::Empty,
                ip => Host::Inet(vec![(ip, 0).into()]),
            };
            let text = if ip.is_ipv6() { format!("[{ip}]") } else { ip.to_string() };
            (text, ip.to_string(), host, u16::from_be_bytes(port))
        }
        None => {
            let letters = host.iter().map(|byte| char::from(b'a' + byte % 26));
            let path = format!("/{}", letters.collect::<String>());
            (path.clone(), path.clone(), Host::Unix(path.into()), 1)
        }
    };
    let (max, hard, weight) = (number(0), number(4), number(8));
    let share = Share { max, hard, weight, prio: i32::from(prio as i8) };
    let mut spec = ServerSpec { name, host, port, same_port: false, share };
    let mut words = [
        text,
        spec.port.to_string(),
        spec.share.max.to_string(),
        spec.share.hard.to_string(),
        spec.share.weight.to_string(),
        spec.share.prio.to_string(),
    ];
    let mut leave_out = |bit: u8, at: usize| {
        let out = there & 1 << bit != 0;
        if out {
            words[at].clear();
        }
        out
    };
    if leave_out(0, 1) && matches!(spec.host, Host::Inet(_) | Host::Empty) {
        spec.port = 7;
    }
    if leave_out(1, 2) {
        spec.share.max = 0;
    }
    if leave_out(2, 3) {
        spec.share.hard = 0;
    }
    if leave_out(3, 4) {
        spec.share.weight = 0;
    }
    if leave_out(4, 5) {
        spec.share.prio = 0;
    }
    let word = words.join(":");
    assert_eq!(addr::server(&word, Some(7.into())).as_ref(), Ok(&spec), "{word}");
    let short = word.trim_end_matches(':');
    assert_eq!(addr::server(short, Some(7.into())), Ok(spec), "{short}");
}
