//! Makes `/metrics` in the text format of Prometheus, version 0.0.4.

use super::cache::Snapshot;
use crate::pool::health::State;
use crate::proxy::shared::Pen;
use crate::report::snapshot::{ServerRow, micros, role, seconds};
use std::fmt::Write as _;

/// The media type of the text.
pub(super) const KIND: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A metric of servers: its name, its help, what follows the value, and the value, if it
/// is known.
type Metric = (&'static str, &'static str, &'static str, fn(&ServerRow) -> Option<u64>);

/// The metrics of servers. The names of counters end in `_total`.
const SERVERS: &[Metric] = &[
    (
        "pen_server_up",
        "Whether the server has been seen to work, and has not failed or been taken out since.",
        "",
        |row| Some(row.state().is_up().into()),
    ),
    ("pen_server_blacklisted_seconds", "How much longer the server is blacklisted.", "", |row| {
        Some(seconds(row.left()))
    }),
    ("pen_server_connections", "Connections that the server has now.", "", |row| {
        Some(row.server.connections.into())
    }),
    (
        "pen_server_connections_max",
        "Most connections that the server gets, 0 for no limit.",
        "",
        |row| Some(row.server.share.max.into()),
    ),
    ("pen_server_connects_total", "Connects tried to the server.", "", |row| {
        Some(row.server.connects)
    }),
    ("pen_server_connect_failures_total", "Connects to the server that failed.", "", |row| {
        Some(row.server.failures)
    }),
    ("pen_server_downs_total", "How often the server went down.", "", |row| {
        Some(row.server.health.downs)
    }),
    ("pen_server_downtime_seconds_total", "How long the server has been down in all.", "", |row| {
        Some(row.server.health.downtime(row.at).as_secs())
    }),
    ("pen_server_sent_bytes_total", "Bytes sent to the server.", "", |row| Some(row.bytes.sx)),
    ("pen_server_received_bytes_total", "Bytes received from the server.", "", |row| {
        Some(row.bytes.rx)
    }),
    ("pen_server_last_check_success", "Whether the last check succeeded.", "", |row| {
        row.server.health.checked.as_ref().map(|checked| checked.why.is_empty().into())
    }),
    ("pen_server_last_check_age_seconds", "How long ago the last check ended.", "", |row| {
        row.server.health.checked.as_ref().map(|checked| checked.at.elapsed().as_secs())
    }),
    ("pen_server_last_check_duration_seconds", "How long the last check took.", "e-6", |row| {
        row.server.health.checked.as_ref().map(|checked| micros(checked.took))
    }),
    (
        "pen_server_connect_median_seconds",
        "The median of the times of the last minute's connects.",
        "e-6",
        |row| row.server.answers.connect_us(row.at).map(|[median, _]| median),
    ),
    (
        "pen_server_connect_99th_percentile_seconds",
        "The 99th percentile of the times of the last minute's connects.",
        "e-6",
        |row| row.server.answers.connect_us(row.at).map(|[_, p99]| p99),
    ),
];

/// Writes all metrics.
pub(super) fn text(pen: &Pen, snapshot: &Snapshot) -> String {
    let mut out = String::with_capacity(4096);
    let start = pen.start_time;
    let clients_max = pen.with_clients(|clients| clients.max());
    let build = concat!("{version=\"", env!("CARGO_PKG_VERSION"), "\"}");
    let plain: [(&str, &str, &str, u64); 7] = [
        ("pen_build_info", "The version of pen.", build, 1),
        ("process_start_time_seconds", "When pen started, in seconds since 1970.", "", start),
        ("pen_connections", "Connections now.", "", snapshot.used as u64),
        ("pen_connections_max", "Most connections at once.", "", pen.connections.max() as u64),
        ("pen_clients", "Clients that are remembered.", "", snapshot.tracked as u64),
        ("pen_clients_max", "Most clients that are remembered.", "", clients_max as u64),
        (
            "pen_log_lines_lost_total",
            "Lines of the request and the connection log that were lost.",
            "",
            pen.log_lost.get(),
        ),
    ];
    for (name, help, labels, value) in plain {
        head(&mut out, name, help);
        let _ = writeln!(out, "{name}{labels} {value}");
    }
    for (name, help, count) in pen.outcomes.rows() {
        let name = format!("pen_clients_{name}_total");
        head(&mut out, &name, help);
        let _ = writeln!(out, "{name} {count}");
    }
    const ENDED: &str = "pen_connections_ended_total";
    head(&mut out, ENDED, "Connections that have ended, by reason.");
    for (word, count) in pen.conn_log.ends.rows() {
        let _ = writeln!(out, "{ENDED}{{reason=\"{word}\"}} {count}");
    }
    for (name, help, unit, value) in SERVERS {
        head(&mut out, name, help);
        for row in &snapshot.servers {
            if let Some(value) = value(row) {
                let _ = writeln!(out, "{name}{{{}}} {value}{unit}", labels(row));
            }
        }
    }
    states(&mut out, snapshot);
    out
}

/// The states of servers: 1 for the one that a server has, 0 for the others.
fn states(out: &mut String, snapshot: &Snapshot) {
    const NAME: &str = "pen_server_state";
    head(out, NAME, "Which state the server has.");
    for row in &snapshot.servers {
        let (labels, now) = (labels(row), row.state());
        for state in State::ALL.into_iter().skip(1) {
            let is_it = u64::from(now == state);
            let _ = writeln!(out, "{NAME}{{{labels},state=\"{}\"}} {is_it}", state.word());
        }
    }
}

/// The labels that say which server it is.
fn labels(row: &ServerRow) -> String {
    let (role, index) = role(row.target);
    let index = index.map_or(role.to_owned(), |index| index.to_string());
    let (address, port) = (escape(&row.server.host.to_string()), row.server.port);
    let mut labels = format!("server=\"{index}\",address=\"{address}\",port=\"{port}\"");
    if !row.server.name.is_empty() {
        let _ = write!(labels, ",name=\"{}\"", escape(&row.server.name));
    }
    labels
}

fn head(out: &mut String, name: &str, help: &str) {
    let kind = if name.ends_with("_total") { "counter" } else { "gauge" };
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

/// Escapes the value of a label. A path may contain any character.
fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        if matches!(c, '\\' | '"' | '\n') {
            out.push('\\');
        }
        out.push(if c == '\n' { 'n' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        assert_eq!(escape("/a\\b\"c\nd"), "/a\\\\b\\\"c\\nd");
    }
}
