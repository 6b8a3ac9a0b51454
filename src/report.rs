//! Makes the texts of `servers`, `recent`, `status` and the signal USR1. Scripts find
//! values by line and word position, so the formats are an interface.

pub(crate) mod explain;
pub(crate) mod health;
pub(crate) mod snapshot;

use crate::pool::choice::Target;
use crate::pool::server::Server;
use crate::proxy::shared::Pen;
use crate::report::snapshot::{Bytes, ServerRow};
use crate::sys::addr::Share;
use crate::sys::message;
use crate::sys::text;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

/// pen quirk: a server's status is 0 while it is available. Otherwise it is the Unix
/// time of the failure, computed from how much longer it is blacklisted.
fn down_since(left: Duration, blacklist: Duration) -> u64 {
    if left.is_zero() {
        return 0;
    }
    let end = message::unix_time().saturating_add(snapshot::seconds(left));
    end.saturating_sub(blacklist.as_secs())
}

/// Returns the servers of the table, without the emergency and the abuse server.
fn regular(pen: &Pen, live: &snapshot::Live) -> Vec<ServerRow> {
    let mut rows = snapshot::servers(pen, live);
    rows.retain(|row| matches!(row.target, Target::Server(_)));
    rows
}

/// Returns the index of a server as reports show it, -1 for none.
fn number(server: Option<usize>) -> i64 {
    server.and_then(|n| i64::try_from(n).ok()).unwrap_or(-1)
}

/// Writes a line for each server.
pub(crate) fn servers(pen: &Pen) -> String {
    let mut text = String::new();
    for (index, row) in regular(pen, &pen.connections.live()).iter().enumerate() {
        let server = &row.server;
        let (host, port, connections) = (&server.host, server.port_word(), server.connections);
        let _ = write!(text, "{index} addr {host} port {port} conn {connections}");
        for (word, number) in server.share.rows() {
            let _ = write!(text, " {word} {number}");
        }
        let _ = write!(text, " {} connects {}", row.bytes, server.connects);
        if !server.name.is_empty() {
            let _ = write!(text, " name {}", text::printable(&server.name));
        }
        if let Some(send) = server.send_proxy {
            let _ = write!(text, " send_proxy {}", send.word());
        }
        state(&mut text, server, row.at);
        text.push('\n');
    }
    text
}

/// Writes a server's state, for how long it has been that, and why.
fn state(text: &mut String, server: &Server, now: Instant) {
    let (state, reason) = (server.state(now), server.health.reason());
    let _ = write!(text, " state {}", state.word());
    if let Some(since) = server.health.since(now) {
        let _ = write!(text, " since {}", since.as_secs());
    }
    if !state.is_up() && !reason.is_empty() {
        let _ = write!(text, " reason {}", text::printable(&reason));
    }
}

/// Writes a line for each client whose last connect is at most `age` ago.
pub(crate) fn recent(pen: &Pen, age: Duration) -> String {
    let mut text = String::new();
    for row in snapshot::clients(pen, &pen.connections.live(), age) {
        let _ = writeln!(text, "{} connects {} {}", row.client, row.connects, row.bytes);
    }
    text
}

/// Writes servers, clients and connections as text, for USR1 without `-w`.
pub(crate) fn text(pen: &Pen) -> String {
    let mut text = servers(pen);
    for row in snapshot::clients(pen, &pen.connections.live(), Duration::MAX) {
        let (slot, client, age, server) = (row.slot, row.client, row.age, number(row.server));
        let _ = write!(text, "client {slot} {client} age {age} server {server} ");
        let _ = writeln!(text, "connects {} {}", row.connects, row.bytes);
    }
    for (index, connection) in pen.connections.live() {
        let [down, up] = connection.descriptors();
        let (client, server) = (connection.client, connection.lease.number());
        let _ = writeln!(
            text,
            "connection {index} downfd {down} upfd {up} client {client} server {server}"
        );
    }
    text.push_str("clients");
    for (name, _, count) in pen.outcomes.rows() {
        let _ = write!(text, " {name} {count}");
    }
    text.push_str("\nends");
    for (word, count) in pen.conn_log.ends.rows() {
        let _ = write!(text, " {word} {count}");
    }
    text.push('\n');
    if pen.log_lost.get() > 0 {
        let _ = writeln!(text, "log lines lost {}", pen.log_lost.get());
    }
    text
}

/// Writes the HTML report, line by line as the C program does.
pub(crate) fn html(pen: &Pen) -> String {
    let live = pen.connections.live();
    let servers = regular(pen, &live);
    let blacklist = pen.settings().blacklist;
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
        let (at, down) = (escape(&row.server.host.to_string()), down_since(row.left(), blacklist));
        let Server { port, connections: open, share, .. } = row.server;
        let (Share { max, hard, weight, prio }, Bytes { sx, rx }) = (share, row.bytes);
        cells(
            &mut page,
            &[&index, &at, &down, &port, &open, &max, &hard, &sx, &rx, &weight, &prio],
        );
    }
    let most = pen.with_clients(|clients| clients.max());
    let _ = write!(page, "</table>\n<h2>Active clients</h2>Max number of clients: {most}<p>");
    head(&mut page, "client,address,age(secs),last server,connects,sent,received");
    for row in snapshot::clients(pen, &live, Duration::MAX) {
        let (at, last, Bytes { sx, rx }) = (row.client, number(row.server), row.bytes);
        cells(&mut page, &[&row.slot, &at, &row.age, &last, &row.connects, &sx, &rx]);
    }
    let most = pen.connections.max();
    let (used, last) = pen.connections.used_and_last();
    let _ = write!(
        page,
        "</table>\n<h2>Active connections</h2>\
         Number of connections: {most} max, {used} used, {last} last<p>"
    );
    head(&mut page, "connection,downfd,upfd,pending data down,pending data up,client,server");
    for (index, connection) in &live {
        let [down, up] = connection.descriptors();
        let server = connection.lease.number();
        cells(&mut page, &[index, &down, &up, &0, &0, &connection.client_slot, &server]);
    }
    page.push_str("</table>\n</body>\n</html>\n");
    page
}

/// Writes the first row of a table.
fn head(page: &mut String, names: &str) {
    page.push_str("<table bgcolor=\"#c0c0c0\">\n<tr>\n");
    for name in names.split(',') {
        let _ = writeln!(page, "<td bgcolor=\"#80f080\">{name}</td>");
    }
    page.push_str("</tr>\n");
}

/// Writes the next row of a table.
pub(crate) fn cells(page: &mut String, values: &[&dyn std::fmt::Display]) {
    page.push_str("<tr>\n");
    for value in values {
        let _ = writeln!(page, "<td>{value}</td>");
    }
    page.push_str("</tr>\n");
}

/// Escapes text for HTML. A path or a host name may contain any character.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text::printable(text).chars() {
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
