//! Makes `/status.json`. The manual describes its form and the page's script reads it,
//! so fields may be added, but none may change.

use super::cache::{self, Snapshot};
use super::json::Json;
use crate::control::commands;
use crate::control::config;
use crate::control::row::Value;
use crate::control::table::TABLE;
use crate::pool::choice::Target;
use crate::proxy::shared::Pen;
use crate::report::snapshot::{Bytes, micros, role, seconds};
use crate::sys::Kind;
use crate::sys::message;
use std::time::Instant;

/// Writes the whole document, with at most this many clients and connections.
pub(super) fn text(pen: &Pen, snapshot: &Snapshot, clients: usize, connections: usize) -> String {
    let settings = pen.settings();
    let mut out = Json::new();
    out.number("format", 1);
    out.text("version", env!("CARGO_PKG_VERSION"));
    out.number("pid", std::process::id().into());
    out.number("time", message::unix_time());
    out.number("uptime", snapshot.uptime.as_secs());
    // The page divides the differences of counts by the difference of this.
    out.number("uptime_ms", snapshot.uptime.as_millis() as u64);
    let protocol = match settings.start.kind {
        Kind::Stream => "tcp",
        Kind::Datagram => "udp",
    };
    out.text("protocol", protocol);
    out.maybe("listen", settings.listen.as_deref());
    out.maybe("web", settings.web.as_deref());
    out.text("health", cache::health(pen));

    let user = pen.access.secret().map(|secret| secret.user.clone());
    out.open("control", '{');
    out.flag("possible", user.is_some());
    out.flag("exit", user.is_some() && settings.exit_enabled);
    out.maybe("token", pen.access.token.as_deref().filter(|_| user.is_some()));
    out.maybe("user", user.as_deref());
    out.close('}');

    let mut total = Bytes::default();
    let (mut connects, mut failures) = (0_u64, 0_u64);
    for row in &snapshot.servers {
        total.add(row.bytes);
        connects = connects.wrapping_add(row.server.connects);
        failures = failures.wrapping_add(row.server.failures);
    }
    out.open("totals", '{');
    out.number("connects", connects);
    out.number("failures", failures);
    bytes(&mut out, total);
    out.close('}');
    out.open("outcomes", '{');
    for (name, _, count) in pen.outcomes.rows() {
        out.number(name, count);
    }
    out.close('}');
    out.open("ends", '{');
    for (word, count) in pen.conn_log.ends.rows() {
        out.number(word, count);
    }
    out.close('}');
    out.number("log_lost", pen.log_lost.get());

    let now = Instant::now();
    out.open("servers", '[');
    for row in &snapshot.servers {
        out.open("", '{');
        target(&mut out, row.target, "index");
        let server = &row.server;
        out.text("address", &server.host.to_string());
        out.number("port", server.port.into());
        out.maybe("name", Some(&*server.name).filter(|name| !name.is_empty()));
        out.text("state", row.state.word());
        out.number("left", seconds(row.left));
        out.text("admin", server.health.admin().word());
        match row.since {
            Some(since) => out.number("since", since.as_secs()),
            None => out.maybe("since", None),
        }
        out.text("reason", &row.reason);
        match row.answered {
            Some(ago) => out.number("answered", ago.into()),
            None => out.maybe("answered", None),
        }
        out.number("downs", server.health.downs);
        out.number("downtime", row.downtime.as_secs());
        if let Some(checked) = &server.health.checked {
            out.open("check", '{');
            out.number("ago", checked.at.elapsed().as_secs());
            out.number("us", micros(checked.took));
            out.text("why", &checked.why);
            out.close('}');
        }
        if let Some(due) = server.health.check_due {
            out.number("next_check", seconds(due.saturating_duration_since(now)));
        }
        if let Some([median, p99]) = row.connect_us {
            out.open("connect_us", '{');
            out.number("median", median);
            out.number("p99", p99);
            out.close('}');
        }
        out.number("connections", server.connections.into());
        for (word, number) in server.share.rows() {
            out.signed(word, number);
        }
        out.number("acl", server.acl as u64);
        out.number("connects", server.connects);
        out.number("failures", server.failures);
        bytes(&mut out, row.bytes);
        out.close('}');
    }
    out.close(']');

    out.open("clients", '{');
    out.number("tracked", snapshot.tracked as u64);
    out.number("max", pen.with_clients(|clients| clients.max()) as u64);
    if let Some(found) = snapshot.found {
        out.number("found", found as u64);
    }
    out.open("recent", '[');
    for row in snapshot.clients.iter().take(clients) {
        out.open("", '{');
        out.text("client", &row.client.to_string());
        index(&mut out, "server", row.server);
        out.number("connects", row.connects);
        out.number("age", row.age);
        bytes(&mut out, row.bytes);
        out.close('}');
    }
    out.close(']');
    out.close('}');

    out.open("connections", '{');
    out.number("used", snapshot.used as u64);
    out.number("max", pen.connections.max() as u64);
    out.open("open", '[');
    for row in snapshot.open.iter().take(connections) {
        out.open("", '{');
        out.number("id", row.id as u64);
        out.text("client", &row.client.to_string());
        target(&mut out, row.target, "server");
        bytes(&mut out, row.bytes);
        out.close('}');
    }
    out.close(']');
    out.close('}');

    out.open("events", '[');
    for event in pen.events.all() {
        out.open("", '{');
        out.number("at", event.at);
        target(&mut out, event.target, "server");
        out.text("name", &event.name);
        out.text("from", event.from.word());
        out.text("to", event.to.word());
        out.text("reason", &event.reason);
        out.close('}');
    }
    out.close(']');

    let modes = &settings.modes;
    out.open("modes", '{');
    for (name, on) in commands::modes(modes) {
        out.flag(name, on);
    }
    out.close('}');

    out.open("settings", '{');
    out.maybe("control", settings.control.as_deref());
    for (spec, value) in config::values(pen, &settings) {
        let name = spec.name;
        match value {
            Value::Flag(on) => out.flag(name, on),
            Value::Number(number) => out.number(name, number),
            Value::Text(text) => out.maybe(name, text.as_deref()),
            Value::Servers => {}
        }
    }
    out.close('}');
    out.open("units", '{');
    for spec in TABLE.iter().filter(|spec| spec.is_time()) {
        out.text(spec.name, "s");
    }
    out.close('}');
    out.finish()
}

fn bytes(out: &mut Json, bytes: Bytes) {
    out.number("sx", bytes.sx);
    out.number("rx", bytes.rx);
}

/// Writes a server's role, and under `name` its index.
fn target(out: &mut Json, target: Target, name: &str) {
    let (role, of) = role(target);
    out.text("role", role);
    index(out, name, of);
}

/// Writes an index, or null.
fn index(out: &mut Json, name: &str, index: Option<usize>) {
    match index {
        Some(index) => out.number(name, index as u64),
        None => out.maybe(name, None),
    }
}
