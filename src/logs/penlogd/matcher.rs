//! Handles the lines of a datagram: it remembers what a pen reports, and puts
//! the client into a web server's log line.

use super::entries::RecentRequests;
use super::line;
use crate::sys::message;
use crate::sys::text;
use std::borrow::Cow;
use std::net::IpAddr;

/// How many lines of each kind there were.
#[derive(Default)]
struct Counts {
    requests: u64,
    lines: u64,
    found: u64,
    discarded: u64,
}

/// The remembered requests, and the log lines that are ready to be written.
pub struct Matcher {
    recent: RecentRequests,
    counts: Counts,
    lines: Vec<u8>,
}

impl Matcher {
    /// Makes a matcher that remembers so many requests of pens as `requests`
    /// says.
    pub fn new(requests: usize) -> Matcher {
        Matcher {
            recent: RecentRequests::new(requests),
            counts: Counts::default(),
            lines: Vec::new(),
        }
    }

    /// The web servers' lines that were handled since [`Matcher::clear`], each
    /// with its newline.
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }

    /// Forgets the lines, after they were written.
    pub(super) fn clear(&mut self) {
        self.lines.clear();
    }

    /// Handles each line of a datagram by itself; empty ones are skipped.
    pub fn datagram(&mut self, from: IpAddr, data: &[u8]) {
        let lines = data.split(|byte| *byte == b'\n');
        for line in lines.filter(|line| !line.is_empty()) {
            if line::is_from_pen(line) {
                self.pens_line(from, line);
            } else {
                self.web_servers_line(from, line);
            }
        }
    }

    fn pens_line(&mut self, from: IpAddr, line: &[u8]) {
        match line::pen_request(line) {
            Some(request) => {
                self.counts.requests += 1;
                self.recent.add(&request);
            }
            None => {
                self.counts.discarded += 1;
                message::debug(1, || {
                    format!("{from}: ignoring a malformed report: {}", shown(line))
                });
            }
        }
    }

    fn web_servers_line(&mut self, from: IpAddr, line: &[u8]) {
        self.counts.lines += 1;
        let line = match self.recent.find(from, &line::request_forms(line)) {
            Some(client) => {
                self.counts.found += 1;
                line::with_client(line, client)
            }
            None => {
                message::debug(1, || format!("{from}: no client found for: {}", shown(line)));
                line.into()
            }
        };
        self.lines.extend(&*text::harmless(&line));
        self.lines.push(b'\n');
    }

    /// The counts in one line, for the operator.
    pub(super) fn report(&self) -> String {
        let Counts { requests, lines, found, discarded } = self.counts;
        format!(
            "{requests} requests from pens, {} kept, {discarded} lines discarded; \
             {lines} lines from web servers, {found} with their client",
            self.recent.count()
        )
    }
}

fn shown(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    const WEB: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

    #[test]
    fn lines_get_their_client() {
        let mut matcher = Matcher::new(10);
        let pen = IpAddr::V4([192, 0, 2, 99].into());
        let other = IpAddr::V4([192, 0, 2, 2].into());
        matcher.datagram(pen, b"+ 198.51.100.7 192.0.2.1 GET /a\n+ bad\n");
        matcher.datagram(WEB, b"");
        matcher.datagram(WEB, b"\n\n");
        matcher.datagram(WEB, b"pen - - \"GET /a\" 200\npen - - \"GET /b\" 404\n");
        matcher.datagram(WEB, b"pen - - \"GET /a\" 206\r\0\x07\xff");
        matcher.datagram(other, b"pen - - \"GET /a\" 200\n");
        matcher.datagram(WEB, b"+no blank");
        let want: &[u8] = b"198.51.100.7 - - \"GET /a\" 200\npen - - \"GET /b\" 404\n\
            198.51.100.7 - - \"GET /a\" 206...\xff\npen - - \"GET /a\" 200\n+no blank\n";
        assert_eq!(matcher.lines(), want);
        assert_eq!(
            matcher.report(),
            "1 requests from pens, 1 kept, 1 lines discarded; \
             5 lines from web servers, 2 with their client"
        );
    }
}
