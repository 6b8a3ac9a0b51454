//! `--try`: connects to each server once, on each of its addresses, before pen runs.

use crate::pool::choice::Target;
use crate::proxy::connect;
use crate::proxy::shared::Pen;
use crate::proxy_protocol::SendProxy;
use crate::report::snapshot::role;
use crate::settings::Settings;
use crate::sys::Kind;
use crate::sys::addr::{self, Endpoint, Host};
use crate::sys::{process, text};
use std::net::SocketAddr;
use std::time::Instant;

/// An address of a server.
struct Row {
    /// The columns before the result.
    words: [String; 3],
    /// Whether it serves all clients, and not those alone that are denied.
    serves: bool,
    host: Host,
    port: u16,
    send_proxy: SendProxy,
}

/// Prints a table of all servers, with the time that the connect took or the error.
/// Fails if none answers.
pub(super) fn run(pen: &Pen) -> Result<(), String> {
    let settings = pen.settings();
    let listen = settings.listen.as_deref().unwrap_or_default();
    let mut ports: Vec<u16> = Vec::new();
    for port in addr::endpoints(listen)?.iter().filter_map(Endpoint::port) {
        if !ports.contains(&port) {
            ports.push(port);
        }
    }
    let rows = rows(pen, &ports);
    let heads = ["server", "name", "address"];
    let width = |column: usize| {
        let words = rows.iter().filter_map(|row| row.words.get(column)).map(String::as_str);
        words.chain(heads.get(column).copied()).map(|word| word.chars().count()).max().unwrap_or(0)
    };
    let widths = [width(0), width(1), width(2)];
    let print = |words: [&str; 3], result: &str| {
        let padded = words.iter().zip(widths).map(|(word, width)| format!("{word:width$}  "));
        process::print(&text::printable_lines(padded.collect::<String>() + result + "\n"));
    };
    print(heads, "connected after");
    let mut is_alive = settings.start.kind == Kind::Datagram;
    for row in &rows {
        let result = ask(&settings, row);
        is_alive |= result.is_ok() && row.serves;
        print(row.words.each_ref().map(String::as_str), &result.unwrap_or_else(|why| why));
    }
    if is_alive { Ok(()) } else { Err("no server answers".to_owned()) }
}

/// One row for each address of each server, and for each listening port, if the server
/// is reached at that.
fn rows(pen: &Pen, ports: &[u16]) -> Vec<Row> {
    let table = pen.servers.table();
    let mut rows = Vec::new();
    for (target, server) in table.all().filter(|(_, server)| !server.is_empty()) {
        let which = match role(target) {
            (_, Some(index)) => index.to_string(),
            (role, None) => role.to_owned(),
        };
        let mut add = |address: String, host, port| {
            let name = if server.name.is_empty() { "-" } else { &*server.name };
            let words = [which.clone(), name.to_owned(), address];
            let serves = target != Target::Abuse;
            let send_proxy = server.send_proxy.unwrap_or(table.settings.send_proxy);
            rows.push(Row { words, serves, host, port, send_proxy });
        };
        match &*server.host {
            Host::Inet(all) => {
                let ports = if server.same_port { ports } else { &[server.port] };
                for at in all {
                    for port in ports {
                        let shown = SocketAddr::new(at.ip(), *port).to_string();
                        add(shown, Host::Inet(vec![*at]), *port);
                    }
                }
            }
            other => add(other.to_string(), other.clone(), server.port),
        }
    }
    rows
}

/// Connects, and returns how long that took.
fn ask(settings: &Settings, row: &Row) -> Result<String, String> {
    if settings.start.kind == Kind::Datagram {
        return Ok("not asked: UDP servers do not say whether they are there".to_owned());
    }
    let start = Instant::now();
    let (host, port, send) = (&row.host, row.port, row.send_proxy);
    connect::open_own(Kind::Stream, host, port, settings, settings.timeout, send, &[])
        .map_err(|e| e.to_string())?;
    let tenths = start.elapsed().as_micros() / 100;
    Ok(format!("{}.{} ms", tenths / 10, tenths % 10))
}
