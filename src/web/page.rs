//! The page: put together from its parts when pen is compiled, and with plain
//! tables in it for browsers without JavaScript.

use super::facts::Facts;
use super::hash::sha256;
use super::reply::Reply;
use super::secret::base64;
use crate::balance::Target;
use crate::facts::seconds;
use crate::report::{cells, escape};
use std::fmt::{Display, Write as _};

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");
const STYLE_HASH: [u8; 32] = sha256(STYLE.as_bytes());
const SCRIPT_HASH: [u8; 32] = sha256(SCRIPT.as_bytes());

const PAGE: &str = concat!(
    "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
     <meta name=\"viewport\" content=\"width=device-width\">\n\
     <title>pen</title>\n<link rel=\"icon\" href=\"data:,\">\n<style>",
    include_str!("page.css"),
    "</style>\n</head>\n",
    include_str!("page.html"),
    "<script>",
    include_str!("page.js"),
    "</script>\n</html>\n",
);

/// Where the tables go.
const MARK: &str = "<!--plain-->";

/// Clients and connections in the tables.
const FEW: usize = 50;

/// The page at this moment. No script and no style but its own count, and it
/// talks to nobody but its pen.
pub(super) fn reply(facts: &Facts) -> Reply {
    let (before, behind) = PAGE.split_once(MARK).unwrap_or((PAGE, ""));
    let mut page = String::with_capacity(PAGE.len() + 8192);
    page.push_str(before);
    tables(&mut page, facts);
    page.push_str(behind);
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; \
         connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; \
         frame-ancestors 'none'",
        base64(&SCRIPT_HASH),
        base64(&STYLE_HASH)
    );
    Reply::new("text/html; charset=utf-8", page).under(policy)
}

fn tables(page: &mut String, facts: &Facts) {
    page.push_str("<div id=\"plain\">\n");
    head(
        page,
        "Servers",
        "server,address,port,state,seconds,connections,max,hard,weight,prio,sent,received",
    );
    for row in &facts.servers {
        cells(
            page,
            &[
                name(&row.target),
                &escape(&row.address),
                &row.port,
                &row.state.word(),
                &seconds(row.left),
                &row.connections,
                &row.max,
                &row.hard,
                &row.weight,
                &row.prio,
                &row.bytes.sx,
                &row.bytes.rx,
            ],
        );
    }
    page.push_str("</table>\n");
    head(page, "Clients", "client,server,connects,seconds,sent,received");
    for row in facts.clients.iter().take(FEW) {
        let server: &dyn Display = match &row.server {
            Some(index) => index,
            None => &"",
        };
        cells(page, &[&row.client, server, &row.connects, &row.age, &row.bytes.sx, &row.bytes.rx]);
    }
    page.push_str("</table>\n");
    head(page, "Connections", "connection,client,server,sent,received");
    for row in facts.open.iter().take(FEW) {
        let server = name(&row.target);
        cells(page, &[&row.id, &row.client, server, &row.bytes.sx, &row.bytes.rx]);
    }
    let _ = write!(
        page,
        "</table>\n<p>{} clients, {} connections</p>\n</div>\n",
        facts.tracked, facts.used
    );
}

/// A title and a table's first row.
fn head(page: &mut String, title: &str, names: &str) {
    let _ = write!(page, "<h2>{title}</h2>\n<table>\n<tr>\n");
    for name in names.split(',') {
        let _ = writeln!(page, "<th>{name}</th>");
    }
    page.push_str("</tr>\n");
}

/// A server's number or role.
pub(super) fn name(target: &Target) -> &dyn Display {
    match target {
        Target::Server(index) => index,
        Target::Emergency => &"emergency",
        Target::Abuse => &"abuse",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_whole() {
        assert_eq!(PAGE.matches(MARK).count(), 1);
        assert!(!SCRIPT.contains("</script") && !STYLE.contains("</style"));
        // What the policy forbids, and resources from elsewhere.
        for text in [" style=", " onclick=", " onload=", "src=", "@import", "url("] {
            assert!(!PAGE.contains(text), "{text}");
        }
    }
}
