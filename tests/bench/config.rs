//! What the other load balancers and the back ends are told: the configuration
//! that each one's manual advises for this work, with the processors and the
//! room that all have, and nothing that would hold it up.

use crate::measure;
use crate::peers::Over;
use std::net::SocketAddr;
use std::path::Path;
use std::thread;

/// Clients that may wait to be accepted, for everybody.
pub(crate) const BACKLOG: &str = "4096";

/// The processors that may be used, which is how many threads or processes
/// HAProxy's and nginx's manuals advise.
pub(crate) fn processors() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// HAProxy in TCP mode. `checked`: it looks after its servers by itself, as
/// its manual wants for fail-over.
pub(crate) fn haproxy(
    at: SocketAddr,
    servers: &[SocketAddr],
    checked: bool,
    capacity: usize,
) -> String {
    let mut text = format!(
        "global\n  maxconn {}\n  nbthread {}\n\
         defaults\n  mode tcp\n  balance roundrobin\n  timeout connect 3s\n  \
         timeout client 5m\n  timeout server 5m\n  option redispatch\n\
         listen bench\n  bind {at} backlog {BACKLOG}\n",
        capacity + 100,
        processors()
    );
    for (number, server) in servers.iter().enumerate() {
        let check = if checked { " check" } else { "" };
        text += &format!("  server s{number} {server}{check}\n");
    }
    text
}

/// nginx as a load balancer; `module` is the line that loads what it needs.
pub(crate) fn stream(
    module: &str,
    over: Over,
    at: SocketAddr,
    servers: &[SocketAddr],
    capacity: usize,
) -> String {
    // Without reuseport the next datagram of a client may come to another
    // process, which knows nothing of the first.
    let how = match over {
        Over::Tcp => format!("backlog={BACKLOG}"),
        Over::Udp => "udp reuseport".to_owned(),
    };
    let servers: Vec<String> = servers.iter().map(|server| format!("server {server};")).collect();
    format!(
        "{module}\nworker_processes auto;\nevents {{ worker_connections {}; }}\n\
         stream {{\n  upstream servers {{ {} }}\n  proxy_connect_timeout 3s;\n  \
         server {{ listen {at} {how}; proxy_pass servers; }}\n}}\n",
        2 * capacity + 50, // both sides count
        servers.join(" ")
    )
}

/// socat's two addresses. It knows one server and starts a process for each
/// client.
pub(crate) fn socat(at: SocketAddr, server: SocketAddr) -> [String; 2] {
    let (ip, port) = (at.ip(), at.port());
    [
        format!("TCP4-LISTEN:{port},bind={ip},reuseaddr,backlog={BACKLOG},fork"),
        format!("TCP4:{server}"),
    ]
}

/// A back end: a small answer for `/`, and one large file.
pub(crate) fn back_end(directory: &Path, at: SocketAddr, capacity: usize) -> String {
    let (dir, port) = (directory.display(), at.port());
    let body = measure::BODY.trim_end();
    // nginx closes idle connections when one in sixteen is left: the room is
    // to be larger than what is asked for.
    let mut text = format!(
        "worker_processes 1;\nevents {{ worker_connections {}; }}\nhttp {{\n  \
         access_log off;\n  sendfile on;\n  tcp_nopush on;\n  keepalive_timeout 10m;\n  \
         keepalive_requests 1000000000;\n  client_header_timeout 10m;\n  send_timeout 10m;\n",
        capacity * 5 / 4 + 1000
    );
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        text += &format!("  {kind}_temp_path {dir}/{port}.{kind};\n");
    }
    text += &format!(
        "  server {{\n    listen {at} backlog={BACKLOG};\n    root {dir};\n    \
         location = / {{ default_type text/plain; return 200 \"{body}\\n\"; }}\n  }}\n}}\n"
    );
    text
}

/// What every nginx is told besides.
pub(crate) fn nginx_common(directory: &Path, port: u16, capacity: usize) -> String {
    format!(
        "\ndaemon off;\npid {dir}/{port}.pid;\nerror_log stderr warn;\n\
         worker_rlimit_nofile {};\n",
        2 * capacity + 100,
        dir = directory.display()
    )
}
