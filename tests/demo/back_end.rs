//! A web server that says who it is and whom it sees: a page for browsers,
//! text for others. One request for each connection, so that every reload is
//! a connection through pen.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

/// How long a client may take to say what it wants.
const PATIENCE: Duration = Duration::from_secs(10);

/// Longest request head that is read.
const HEAD: u64 = 16 * 1024;

/// Serves until the process is ended.
pub(crate) fn serve(name: &str, at: &str) -> Result<(), String> {
    let listener = TcpListener::bind(at).map_err(|e| format!("back end {name}, {at}: {e}"))?;
    let answered = AtomicU64::new(0);
    thread::scope(|scope| {
        for client in listener.incoming() {
            let answered = &answered;
            match client {
                Ok(client) => {
                    scope.spawn(move || {
                        // A client that left early needs no answer.
                        let _ = answer(client, name, answered);
                    });
                }
                Err(_) => thread::sleep(PATIENCE / 100),
            }
        }
    });
    Ok(())
}

fn answer(mut client: TcpStream, name: &str, answered: &AtomicU64) -> io::Result<()> {
    client.set_read_timeout(Some(PATIENCE))?;
    let peer = client.peer_addr()?;
    let head: Vec<String> = BufReader::new(io::Read::take(&client, HEAD))
        .lines()
        .map_while(Result::ok)
        .take_while(|line| !line.is_empty())
        .collect();
    let path = head.first().and_then(|line| line.split(' ').nth(1));
    let (status, kind, body) = match path {
        None => return Ok(()), // connected and said nothing
        Some("/") => {
            let count = answered.fetch_add(1, Relaxed) + 1;
            let plural = if count == 1 { "" } else { "s" };
            let mut lines = vec![
                format!("back end {name}, process {}", std::process::id()),
                format!("answered {count} request{plural} so far"),
                format!("the client as I see it: {peer}, which is pen"),
            ];
            if let Some(client) = header(&head, "x-forwarded-for") {
                lines.push(format!("and X-Forwarded-For says {client}"));
            }
            let browser = header(&head, "accept").is_some_and(|kinds| kinds.contains("text/html"));
            match browser {
                true => ("200 OK", "text/html", page(name, &lines)),
                false => ("200 OK", "text/plain", lines.join("\n") + "\n"),
            }
        }
        // Browsers ask for an icon too, which is not to be counted.
        Some(_) => ("404 Not Found", "text/plain", "only / is here\n".to_owned()),
    };
    let length = body.len();
    write!(
        client,
        "HTTP/1.1 {status}\r\nContent-Type: {kind}; charset=utf-8\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\nConnection: close\r\n\r\n{body}"
    )
}

/// A header's value; names are compared without regard to case.
fn header<'a>(head: &'a [String], name: &str) -> Option<&'a str> {
    head.iter()
        .filter_map(|line| line.split_once(':'))
        .find(|(key, _)| key.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

/// The same lines for a browser, the back ends told apart by colour.
fn page(name: &str, lines: &[String]) -> String {
    let colour = if name == "one" { "#cde8ff" } else { "#ffe3b8" };
    let lines: Vec<String> = lines.iter().map(|line| escaped(line)).collect();
    let (title, rest) = lines.split_first().map_or(("", &[][..]), |(t, r)| (t, r));
    format!(
        "<!doctype html>\n<title>back end {name}</title>\n\
         <body style=\"background: {colour}; font: 1.3em sans-serif; margin: 3em\">\n\
         <h1>{title}</h1>\n<p>{}</p>\n<p><a href=\"/\">Again</a></p>\n",
        rest.join("<br>\n")
    )
}

/// The client's own words are on the page.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
