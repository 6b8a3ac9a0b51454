//! The web interface has a live page, `status.json`, metrics, a health check, and
//! control for users with the password.
//!
//! Each connection carries one request, and is served like a control connection
//! ([`service`]). pen limits the rate of requests ([`PACE`]) and answers them
//! from a snapshot ([`cache`]), so that even many requests take little processor
//! time from the traffic.

use crate::access::{self, PENALTY, Secret};
use crate::control::commands;
use crate::control::config;
use crate::control::service::{self, Service, Session};
use crate::pool::clients::Client;
use crate::proxy::shared::Pen;
use crate::report::health;
use crate::sys::message;
use crate::sys::text;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

mod cache;
mod json;
mod metrics;
mod origin;
mod page;
mod reply;
pub mod request;
mod status;

use cache::Cache;
use reply::Reply;
use request::{Method, Request, Status};

/// The least time from one request to the next, after a burst.
const PACE: Duration = Duration::from_millis(10);

static SERVICE: Service = Service {
    name: "web",
    listener: |pen| &pen.web_listener,
    acl: |settings| settings.web_acl,
    pace: PACE,
    serve,
};

/// The snapshot of the web interface, of which pen has one.
static CACHE: Cache = Cache::new();

/// Serves the web interface until the process ends.
pub(crate) fn accept_loop(pen: &Arc<Pen>) {
    service::accept_loop(pen, &SERVICE);
}

fn serve(pen: &Pen, session: &Session) {
    let mut data = Vec::new();
    let head = match read_head(session, &mut data) {
        Ok(head) => head,
        Err(status) => return refuse(session, status),
    };
    // The bytes after the head are the beginning of the body.
    let body = data.split_off((head + 4).min(data.len()));
    data.truncate(head);
    let text = std::str::from_utf8(&data).map_err(|_| 400);
    let request = match text.and_then(request::parse) {
        Ok(request) => request,
        Err(status) => return refuse(session, Some(status)),
    };
    let Some(body) = read_body(session, &request, body) else { return refuse(session, Some(408)) };
    if let Some(reply) = answer(pen, session, &request, &body) {
        let with_body = request.method != Method::Head;
        session.reply(&reply.bytes(message::unix_time(), with_body));
    }
}

/// Answers a malformed request with this status, or not at all if the client has
/// disconnected (`None`).
fn refuse(session: &Session, status: Option<Status>) {
    if let Some(status) = status {
        let reply = Reply::text(status, reply::reason(status));
        session.reply(&reply.bytes(message::unix_time(), true));
        session.drain(Instant::now() + Duration::from_secs(1));
    }
}

/// Reads up to the empty line after the head, and returns its offset. The error is
/// the status to answer with, or `None` if the client has sent nothing.
fn read_head(session: &Session, data: &mut Vec<u8>) -> Result<usize, Option<Status>> {
    let mut piece = [0; 4096];
    loop {
        let fresh = match session.read(&mut piece) {
            None if data.is_empty() => return Err(None),
            None => return Err(Some(408)),
            Some([]) if data.is_empty() => return Err(None),
            Some([]) => return Err(Some(400)),
            Some(fresh) => fresh,
        };
        let seen = data.len();
        data.extend_from_slice(fresh);
        if let Some(end) = request::end(data, seen)? {
            return Ok(end);
        }
    }
}

/// Reads the rest of the body, which begins with `body`. `None` means that it has not
/// arrived in time.
fn read_body(session: &Session, request: &Request, mut body: Vec<u8>) -> Option<Vec<u8>> {
    if request.waits && body.len() < request.length {
        session.send(b"HTTP/1.1 100 Continue\r\n\r\n");
    }
    let mut piece = [0; 1024];
    while body.len() < request.length {
        match session.read(&mut piece)? {
            [] => return None,
            fresh => body.extend_from_slice(fresh),
        }
    }
    body.truncate(request.length);
    Some(body)
}

/// Makes the reply, or `None` if the client has disconnected meanwhile.
fn answer(pen: &Pen, session: &Session, request: &Request, body: &[u8]) -> Option<Reply> {
    let (method, path) = (request.method, request.path);
    let (is_allowed, allow) = match path {
        "/control" => (method == Method::Post, "Allow: POST\r\n"),
        _ => (matches!(method, Method::Get | Method::Head), "Allow: GET, HEAD\r\n"),
    };
    if !is_allowed {
        return Some(Reply::text(405, "Method Not Allowed\n").with(allow));
    }
    if path == "/healthz" {
        session.set_asked();
        let word = health::word(pen);
        let status = if word == "ok" { 200 } else { 503 };
        return Some(Reply::text(status, &format!("{word}\n")));
    }
    let settings = pen.settings();
    let own = settings.web.as_deref().unwrap_or_default();
    // Programs may reach the metrics by any name of this host.
    if path != "/metrics" && !origin::is_ours(request.host, own) {
        let why = "this name is not pen's: use its address, or give the name to web\n";
        return Some(Reply::text(421, why));
    }
    let secret = pen.access.secret();
    if let Some(secret) = &secret {
        if !has_password(pen, session, request, secret)? {
            let ask = "WWW-Authenticate: Basic realm=\"pen\", charset=\"UTF-8\"\r\n";
            return Some(Reply::text(401, "Unauthorized\n").with(ask));
        }
    }
    session.set_asked();
    Some(match (path, &secret) {
        ("/status.json", _) => {
            let clients = wanted(request.query, "clients");
            let connections = wanted(request.query, "connections");
            let text = asked(request.query, "client").unwrap_or_default();
            if !text.is_empty() {
                let turn = CACHE.next_search(pen);
                (turn <= Instant::now() || session.drain(turn)).then_some(())?;
            }
            let text = status::text(pen, &CACHE.get(pen, text), clients, connections);
            Reply::new("application/json", text)
        }
        ("/metrics", _) => Reply::new(metrics::KIND, metrics::text(pen, &CACHE.get(pen, ""))),
        ("/config" | "/control", None) => Reply::text(403, "no web_password, no control\n"),
        ("/config", _) => {
            let file = settings.config.as_deref().unwrap_or(Path::new("pen.cfg"));
            match config::text(pen, &settings, file) {
                Ok(text) => Reply::text(200, &text),
                Err(why) => Reply::text(500, &(why + "\n")),
            }
        }
        ("/control", Some(secret)) => act(pen, session.client, request, body, &secret.user),
        _ => page::part(path).unwrap_or_else(|| Reply::text(404, "Not Found\n")),
    })
}

/// Tells whether a request has the password. `None` means that the client has
/// disconnected meanwhile.
fn has_password(pen: &Pen, session: &Session, request: &Request, secret: &Secret) -> Option<bool> {
    let Some(field) = request.authorization else { return Some(false) };
    loop {
        match pen.access.judge(|| secret.is_in(field)) {
            Ok(true) => return Some(true),
            Ok(false) => break,
            Err(turn) => session.drain(turn).then_some(())?,
        }
    }
    message::say_seldom(format_args!("{}: web: wrong password", session.client));
    session.drain(Instant::now() + PENALTY).then_some(false)
}

/// Returns the value that a query has for `name`.
#[inline(never)]
fn asked<'a>(query: &'a str, name: &str) -> Option<&'a str> {
    let mut pairs = query.split('&').filter_map(|pair| request::cut(pair, b'='));
    pairs.find(|pair| pair.0 == name).map(|pair| pair.1)
}

/// Returns the number that a query has for `name`, limited to [`cache::MOST_SHOWN`].
fn wanted(query: &str, name: &str) -> usize {
    let value = asked(query, name).and_then(|value| value.parse().ok());
    value.unwrap_or(SHOWN).min(cache::MOST_SHOWN)
}

/// Clients and connections that `status.json` shows unless the query says otherwise.
const SHOWN: usize = 100;

/// Carries out the control command in the body, if pen's own page has sent it.
fn act(pen: &Pen, client: Client, request: &Request, body: &[u8], user: &str) -> Reply {
    let is_ours = |origin: &str| origin::is_from(origin, request.host);
    if !request.origin.is_none_or(is_ours) {
        return Reply::text(403, "a page of another origin\n");
    }
    let token = pen.access.token.as_deref().unwrap_or_default();
    if !request.token.is_some_and(|given| access::same(given, token)) {
        return Reply::text(403, "wrong X-Pen-Token\n");
    }
    let Some(line) = std::str::from_utf8(body).ok().and_then(access::one_line) else {
        return Reply::text(400, "expected one line\n");
    };
    message::say(format_args!("{client}: web: {user}: {line}"));
    let reply = match commands::line(pen, line) {
        Ok(reply) => Reply::text(200, &text::printable_lines(reply)),
        Err(why) => Reply::text(422, &commands::complaint(&why)),
    };
    CACHE.empty();
    reply
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_in_a_query() {
        assert_eq!(wanted("", "clients"), SHOWN);
        assert_eq!(wanted("x&clients=x", "clients"), SHOWN);
        assert_eq!(wanted("connections=2&clients=7", "clients"), 7);
        assert_eq!(wanted("clients=99999", "clients"), cache::MOST_SHOWN);
        assert_eq!(asked("clients=2&client=10.&client=x", "client"), Some("10."));
    }
}
