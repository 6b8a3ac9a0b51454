//! Checks that a request is meant for this pen, and that pen's own page has sent it.

use std::net::{IpAddr, Ipv6Addr};

/// Tells whether a Host field names this pen: by an address, as localhost, or by the
/// host in `web`, the address where the web interface listens. The owner of any other
/// name may have pointed it at this host (DNS rebinding).
pub(super) fn is_ours(host: &str, web: &str) -> bool {
    let name = without_port(host);
    let own = without_port(web);
    let v6 = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.parse::<IpAddr>().is_ok_and(|ip| ip.is_ipv4())
        || v6.is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok())
        || name.eq_ignore_ascii_case("localhost")
        || (!name.is_empty() && name.eq_ignore_ascii_case(own))
}

fn without_port(host: &str) -> &str {
    let at = host.bytes().rposition(|byte| matches!(byte, b':' | b']'));
    match host.split_at_checked(at.unwrap_or(host.len())) {
        Some((name, port)) if port.starts_with(':') => name,
        _ => host,
    }
}

/// Tells whether a page of this origin belongs to the pen at `host`. The scheme is
/// https if something in front of pen does TLS.
pub(super) fn is_from(origin: &str, host: &str) -> bool {
    let from = origin.strip_prefix("http://");
    let from = from.or_else(|| origin.strip_prefix("https://"));
    from.is_some_and(|from| from.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_and_origins() {
        for (host, is_right) in [
            ("127.0.0.1", true),
            ("192.0.2.1:8081", true),
            ("[::1]:8081", true),
            ("[::1]", true),
            ("LocalHost:1", true),
            ("lb1.example:80", true),
            ("LB1.example", true),
            ("evil.example", false),
            ("lb1.example.evil:80", false),
            ("127.0.0.1.evil", false),
            ("[evil]", false),
            ("::1", false),
            ("", false),
            (":80", false),
        ] {
            assert_eq!(is_ours(host, "lb1.example:80"), is_right, "{host}");
        }
        assert!(!is_ours("", "/run/web") && !is_ours(":", ":80"));
        assert!(is_from("http://a:1", "a:1") && is_from("https://A", "a"));
        for origin in ["http://a:2", "null", "", "a:1", "ftp://a:1", "http://a:1/"] {
            assert!(!is_from(origin, "a:1"), "{origin}");
        }
    }
}
