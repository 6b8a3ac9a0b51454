//! Makes `/status.json`. The manual describes its form and the page's script reads it,
//! so fields may be added, but none may change.

use super::cache::Snapshot;
use super::json::Json;
use crate::control::commands;
use crate::control::config;
use crate::control::row::Value;
use crate::control::table::TABLE;
use crate::pool::choice::Target;
use crate::proxy::shared::Pen;
use crate::report::health;
use crate::report::snapshot::{Bytes, micros, role, seconds};
use crate::sys::Kind;
use crate::sys::message;
use std::time::Instant;

/// Writes the whole document, with at most this many clients and connections.
pub(super) fn text(pen: &Pen, snapshot: &Snapshot, clients: usize, connections: usize) -> String {
    let settings = pen.settings();
    let mut out = Json::new();
    out.value("format", &1);
    out.text("version", env!("CARGO_PKG_VERSION"));
    out.value("pid", &std::process::id());
    out.value("time", &message::unix_time());
    out.value("uptime", &snapshot.uptime.as_secs());
    // The page divides the differences of counts by the difference of this.
    out.value("uptime_ms", &snapshot.uptime.as_millis());
    let protocol = match settings.start.kind {
        Kind::Stream => "tcp",
        Kind::Datagram => "udp",
    };
    out.text("protocol", protocol);
    out.maybe("listen", settings.listen.as_deref());
    out.maybe("web", settings.web.as_deref());
    out.text("health", health::word(pen));

    let user = pen.access.secret().map(|secret| secret.user.clone());
    out.open("control", '{');
    out.value("possible", &user.is_some());
    out.value("exit", &(user.is_some() && settings.exit_enabled));
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
    out.value("connects", &connects);
    out.value("failures", &failures);
    bytes(&mut out, total);
    out.close('}');
    out.open("outcomes", '{');
    for (name, _, count) in pen.outcomes.rows() {
        out.value(name, &count);
    }
    out.close('}');
    out.open("ends", '{');
    for (word, count) in pen.conn_log.ends.rows() {
        out.value(word, &count);
    }
    out.close('}');
    out.value("log_lost", &pen.log_lost.get());

    let now = Instant::now();
    out.open("servers", '[');
    for row in &snapshot.servers {
        out.open("", '{');
        target(&mut out, row.target, "index");
        let (server, health) = (&row.server, &row.server.health);
        out.text("address", &server.host.to_string());
        out.value("port", &server.port);
        out.value("same_port", &server.same_port);
        out.maybe("name", Some(&*server.name).filter(|name| !name.is_empty()));
        out.text("state", row.state().word());
        out.value("left", &seconds(row.left()));
        out.text("admin", health.admin().word());
        out.maybe_number("since", health.since(row.at).map(|since| since.as_secs()));
        out.text("reason", &health.reason());
        out.maybe_number("answered", server.answers.ago(row.at).map(u64::from));
        out.value("downs", &health.downs);
        out.value("downtime", &health.downtime(row.at).as_secs());
        if let Some(checked) = &health.checked {
            out.open("check", '{');
            out.value("ago", &checked.at.elapsed().as_secs());
            out.value("us", &micros(checked.took));
            out.text("why", &checked.why);
            out.close('}');
        }
        if let Some(due) = health.check_due {
            out.value("next_check", &seconds(due.saturating_duration_since(now)));
        }
        if let Some([median, p99]) = server.answers.connect_us(row.at) {
            out.open("connect_us", '{');
            out.value("median", &median);
            out.value("p99", &p99);
            out.close('}');
        }
        out.value("connections", &server.connections);
        for (word, number) in server.share.rows() {
            out.value(word, &number);
        }
        out.value("acl", &server.acl);
        out.value("connects", &server.connects);
        out.value("failures", &server.failures);
        bytes(&mut out, row.bytes);
        out.close('}');
    }
    out.close(']');

    out.open("clients", '{');
    out.value("tracked", &snapshot.tracked);
    out.value("max", &pen.with_clients(|clients| clients.max()));
    if let Some(found) = snapshot.found {
        out.value("found", &found);
    }
    out.open("recent", '[');
    for row in snapshot.clients.iter().take(clients) {
        out.open("", '{');
        out.text("client", &row.client.to_string());
        out.maybe_number("server", row.server.map(|index| index as u64));
        out.value("connects", &row.connects);
        out.value("age", &row.age);
        bytes(&mut out, row.bytes);
        out.close('}');
    }
    out.close(']');
    out.close('}');

    out.open("connections", '{');
    out.value("used", &snapshot.used);
    out.value("max", &pen.connections.max());
    out.open("open", '[');
    for row in snapshot.open.iter().take(connections) {
        out.open("", '{');
        out.value("id", &row.id);
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
        out.value("at", &event.at);
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
        out.value(name, &on);
    }
    out.close('}');

    out.open("settings", '{');
    out.maybe("control", settings.control.as_deref());
    for (spec, value) in config::values(pen, &settings) {
        let name = spec.name;
        match value {
            Value::Flag(on) => out.value(name, &on),
            Value::Number(number) => out.value(name, &number),
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
    out.value("sx", &bytes.sx);
    out.value("rx", &bytes.rx);
}

/// Writes a server's role, and under `name` its index.
fn target(out: &mut Json, target: Target, name: &str) {
    let (role, of) = role(target);
    out.text("role", role);
    out.maybe_number(name, of.map(|index| index as u64));
}
