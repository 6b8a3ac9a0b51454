//! What `servers`, `recent`, `status` and the signal USR1 show. Scripts read
//! these by word position and line: the formats are an interface.
//!
//! Facts are copied out of the tables under their locks and made into text
//! afterwards, the client table piece by piece.

use crate::client::Client;
use crate::message;
use crate::relay::Direction;
use crate::server::{Lease, Table};
use crate::session::Connection;
use crate::state::Pen;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients copied while the table is locked once.
const PIECE: usize = 4096;

/// Bytes sent to and received from a peer.
#[derive(Clone, Copy, Default)]
struct Bytes {
    sx: u64,
    rx: u64,
}

impl Bytes {
    fn add(&mut self, sx: u64, rx: u64) {
        self.sx = self.sx.wrapping_add(sx);
        self.rx = self.rx.wrapping_add(rx);
    }
}

struct ServerRow {
    address: String,
    down_since: u64,
    port: u16,
    connections: u32,
    max: u32,
    hard: u32,
    weight: u32,
    prio: i32,
    bytes: Bytes,
}

struct ClientRow {
    slot: usize,
    client: Client,
    age: u64,
    server: i64,
    connects: u64,
    bytes: Bytes,
}

type Live = Vec<(usize, Arc<Connection>)>;

fn moved(connection: &Connection) -> (u64, u64) {
    let sent = |direction| connection.sent(direction).get();
    (sent(Direction::Up), sent(Direction::Down))
}

/// The servers, with what their live connections have moved so far.
fn server_rows(pen: &Pen, live: &Live) -> Vec<ServerRow> {
    let now = Instant::now();
    let blacklist = pen.settings().blacklist;
    let mut rows: Vec<ServerRow> = copy_servers(&pen.servers.table(), now, blacklist);
    for (_, connection) in live {
        let lease: &Lease = &connection.lease;
        let row = usize::try_from(lease.number()).ok();
        if let Some(row) = row.and_then(|index| rows.get_mut(index)) {
            let (up, down) = moved(connection);
            row.bytes.add(up, down);
        }
    }
    rows
}

fn copy_servers(table: &Table, now: Instant, blacklist: Duration) -> Vec<ServerRow> {
    let servers = table.servers.iter();
    servers
        .map(|server| ServerRow {
            address: server.host.to_string(),
            down_since: down_since(server.blacklist_left(now), blacklist),
            port: server.port,
            connections: server.connections,
            max: server.max,
            hard: server.hard,
            weight: server.weight,
            prio: server.prio,
            bytes: Bytes {
                sx: server.traffic.sx.get(),
                rx: server.traffic.rx.get(),
            },
        })
        .collect()
}

/// pen quirk: a server's status is 0 while it is available, else the Unix time
/// at which it must have failed to be blacklisted for so much longer.
fn down_since(left: Duration, blacklist: Duration) -> u64 {
    if left.is_zero() {
        return 0;
    }
    let end = message::unix_time().saturating_add(left.as_millis().div_ceil(1000) as u64);
    end.saturating_sub(blacklist.as_secs())
}

/// The clients seen within `age`, with what their live connections have moved.
fn client_rows(pen: &Pen, live: &Live, age: Duration) -> Vec<ClientRow> {
    let now = Instant::now();
    let mut moving: HashMap<Client, Bytes> = HashMap::new();
    for (_, connection) in live {
        let (down, up) = (moved(connection).1, connection.received(Direction::Up));
        moving.entry(connection.client).or_default().add(down, up);
    }
    let mut rows = Vec::new();
    let mut start = 0;
    loop {
        let end = start + PIECE;
        let more = pen.with_clients(|clients| {
            let all = clients.entries();
            let piece = all.iter().enumerate().take(end).skip(start);
            rows.extend(piece.filter_map(|(slot, entry)| {
                let away = now.saturating_duration_since(entry.last_seen);
                (away <= age).then(|| ClientRow {
                    slot,
                    client: entry.client,
                    age: away.as_secs(),
                    server: entry
                        .server
                        .and_then(|n| i64::try_from(n).ok())
                        .unwrap_or(-1),
                    connects: entry.connects,
                    bytes: Bytes {
                        sx: entry.traffic.sx.get(),
                        rx: entry.traffic.rx.get(),
                    },
                })
            }));
            all.len() > end
        });
        if !more {
            break;
        }
        start = end;
    }
    for row in &mut rows {
        if let Some(bytes) = moving.get(&row.client) {
            row.bytes.add(bytes.sx, bytes.rx);
        }
    }
    rows
}

/// A line for each server.
pub fn servers(pen: &Pen) -> String {
    let mut text = String::new();
    let live = pen.connections.live();
    for (index, row) in server_rows(pen, &live).iter().enumerate() {
        let _ = writeln!(
            text,
            "{index} addr {} port {} conn {} max {} hard {} weight {} prio {} sx {} rx {}",
            row.address,
            row.port,
            row.connections,
            row.max,
            row.hard,
            row.weight,
            row.prio,
            row.bytes.sx,
            row.bytes.rx
        );
    }
    text
}

/// A line for each client of the last while.
pub fn recent(pen: &Pen, age: Duration) -> String {
    let mut text = String::new();
    for row in client_rows(pen, &pen.connections.live(), age) {
        let _ = writeln!(
            text,
            "{} connects {} sx {} rx {}",
            row.client, row.connects, row.bytes.sx, row.bytes.rx
        );
    }
    text
}

/// Text for whoever has no `-w` file: servers, clients and connections.
pub fn text(pen: &Pen) -> String {
    let mut text = servers(pen);
    for row in client_rows(pen, &pen.connections.live(), Duration::MAX) {
        let _ = writeln!(
            text,
            "client {} {} age {} server {} connects {} sx {} rx {}",
            row.slot, row.client, row.age, row.server, row.connects, row.bytes.sx, row.bytes.rx
        );
    }
    for (index, connection) in pen.connections.live() {
        let [down, up] = connection.descriptors();
        let (client, server) = (connection.client, connection.lease.number());
        let _ = writeln!(
            text,
            "connection {index} downfd {down} upfd {up} client {client} server {server}"
        );
    }
    if pen.log.lost() > 0 {
        let _ = writeln!(text, "log lines lost {}", pen.log.lost());
    }
    text
}

/// The HTML report, line by line as the C program writes it.
pub fn html(pen: &Pen) -> String {
    let live = pen.connections.live();
    let servers = server_rows(pen, &live);
    let mut page = String::from(
        "<html>\n<head>\n<title>Pen status page</title>\n</head>\n\
         <body bgcolor=\"#ffffff\"><h1>Pen status page</h1>\n",
    );
    let now = message::timestamp(message::unix_time());
    let count = servers.len();
    let current = pen.servers.table().cursor();
    let _ = writeln!(page, "Time {now}, {count} servers, {current} current<p>");
    head(
        &mut page,
        "server,address,status,port,connections,max soft,max hard,sent,received,weight,prio",
    );
    for (index, row) in servers.iter().enumerate() {
        cells(
            &mut page,
            &[
                &index,
                &escape(&row.address),
                &row.down_since,
                &row.port,
                &row.connections,
                &row.max,
                &row.hard,
                &row.bytes.sx,
                &row.bytes.rx,
                &row.weight,
                &row.prio,
            ],
        );
    }
    let most = pen.with_clients(|clients| clients.max());
    let _ = write!(
        page,
        "</table>\n<h2>Active clients</h2>Max number of clients: {most}<p>"
    );
    head(
        &mut page,
        "client,address,age(secs),last server,connects,sent,received",
    );
    for row in client_rows(pen, &live, Duration::MAX) {
        cells(
            &mut page,
            &[
                &row.slot,
                &escape(&row.client.to_string()),
                &row.age,
                &row.server,
                &row.connects,
                &row.bytes.sx,
                &row.bytes.rx,
            ],
        );
    }
    let most = pen.connections.max();
    let (used, last) = pen.connections.used_and_last();
    let _ = write!(
        page,
        "</table>\n<h2>Active connections</h2>\
         Number of connections: {most} max, {used} used, {last} last<p>"
    );
    head(
        &mut page,
        "connection,downfd,upfd,pending data down,pending data up,client,server",
    );
    for (index, connection) in &live {
        let [down, up] = connection.descriptors();
        let server = connection.lease.number();
        cells(
            &mut page,
            &[index, &down, &up, &0, &0, &connection.client_slot, &server],
        );
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

/// A table's first row.
fn head(page: &mut String, names: &str) {
    page.push_str("<table bgcolor=\"#c0c0c0\">\n<tr>\n");
    for name in names.split(',') {
        let _ = writeln!(page, "<td bgcolor=\"#80f080\">{name}</td>");
    }
    page.push_str("</tr>\n");
}

fn cells(page: &mut String, values: &[&dyn std::fmt::Display]) {
    page.push_str("<tr>\n");
    for value in values {
        let _ = writeln!(page, "<td>{value}</td>");
    }
    page.push_str("</tr>\n");
}

/// Text as HTML: a path or a host name is whatever somebody typed.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in message::printable(text).chars() {
        match c {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            _ => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_is_escaped() {
        assert_eq!(escape("<a b=\"c\">&"), "&lt;a b=&quot;c&quot;&gt;&amp;");
        assert_eq!(escape("'\x1b\n"), "&#39;\\x1b\\x0a");
    }
}
