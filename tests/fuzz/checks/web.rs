//! A request to the web interface is understood as a model does that has it
//! whole before it and splits it at its lines' ends, in whatever pieces it
//! comes.
//!
//! An input is a byte that seeds the pieces, and what comes.

use super::http::{is_token, number, pieces};
use pen::web::request::{self, BODY, Method, Request, Status};

pub fn check(data: &[u8]) {
    let Some((seed, stream)) = data.split_first() else { return };
    let wanted = end(stream);
    assert_eq!(request::end(stream, 0), wanted, "in one piece");
    assert_eq!(found(pieces(stream, *seed)), wanted, "in pieces");
    assert_eq!(found(stream.chunks(1)), wanted, "byte by byte");
    let Ok(Some(end)) = wanted else { return };
    if let Ok(head) = std::str::from_utf8(&stream[..end]) {
        assert_eq!(request::parse(head), parse(head), "{head:?}");
    }
}

type End = Result<Option<usize>, Status>;

fn found<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> End {
    let mut data = Vec::new();
    for piece in pieces {
        let seen = data.len();
        data.extend_from_slice(piece);
        match request::end(&data, seen) {
            Ok(None) => {}
            other => return other,
        }
    }
    Ok(None)
}

/// Each byte as a character, split at each CR LF.
fn end(stream: &[u8]) -> End {
    let text: String = stream.iter().map(|byte| char::from(*byte)).collect();
    let (head, is_whole) = match text.split_once("\r\n\r\n") {
        Some((head, _)) => (head, true),
        None => (text.strip_suffix('\r').unwrap_or(&text), false),
    };
    let is_bad = |c: char| c.is_ascii_control() && c != '\t';
    if head.split("\r\n").any(|line| line.contains(is_bad)) {
        return Err(400);
    }
    Ok(is_whole.then(|| head.chars().count()))
}

fn parse(head: &str) -> Result<Request<'_>, Status> {
    let mut lines: Vec<&str> = head.split("\r\n").collect();
    if lines.len() > 1 && lines[0].is_empty() {
        lines.remove(0);
    }
    let words: Vec<&str> = lines[0].split(' ').collect();
    let [method, target, version] = words[..] else {
        return Err(400);
    };
    let minor = number(version.strip_prefix("HTTP/1.").unwrap_or_default(), 10);
    if version.len() != 8 || minor.is_none() || !is_token(method) {
        return Err(400);
    }
    let (authority, target) = match target.strip_prefix("http://") {
        Some(rest) => {
            let host = rest.split(['/', '?']).next().unwrap_or_default();
            let path = &rest[host.len()..];
            let path = if path.starts_with('/') { path } else { "/" };
            (Some(host), path)
        }
        None if target.starts_with('/') => (None, target),
        None => return Err(400),
    };
    let mut fields: Vec<(String, &str)> = Vec::new();
    for line in &lines[1..] {
        let (name, value) = line.split_once(':').ok_or(400_u16)?;
        if !is_token(name) {
            return Err(400);
        }
        fields.push((name.to_ascii_lowercase(), value.trim_ascii()));
    }
    let values = |name: &str| -> Vec<&str> {
        let all = fields.iter().filter(|field| field.0 == name);
        all.map(|field| field.1).collect()
    };
    let only = |name: &str| match values(name)[..] {
        [] => Ok(None),
        [value] => Ok(Some(value)),
        _ => Err(400_u16),
    };
    let (length, coded) = (only("content-length")?, only("transfer-encoding")?);
    let hosts = values("host");
    let host_is_missing = hosts.is_empty() && minor != Some(0);
    let is_length = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if hosts.len() > 1 || host_is_missing || length.is_some_and(|text| !is_length(text)) {
        return Err(400);
    }
    let waits = values("expect").last().copied();
    let waits = waits.is_some_and(|value| value.eq_ignore_ascii_case("100-continue"));
    let request = Request {
        method: match method {
            "GET" => Method::Get,
            "HEAD" => Method::Head,
            "POST" => Method::Post,
            _ => Method::Other,
        },
        path: target.split('?').next().unwrap_or_default(),
        query: target.split_once('?').map_or("", |halves| halves.1),
        host: authority.or(hosts.first().copied()).unwrap_or_default(),
        origin: only("origin")?,
        authorization: only("authorization")?,
        token: only("x-pen-token")?,
        length: length.map_or(0, |text| text.parse().unwrap_or(usize::MAX)),
        waits: waits && minor != Some(0),
    };
    match (length, coded) {
        (Some(_), Some(_)) => Err(400),
        (None, Some(_)) => Err(411),
        _ if request.length > BODY => Err(413),
        _ => Ok(request),
    }
}
