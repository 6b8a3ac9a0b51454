//! `-H` with real web servers: what an application sees of the client, whatever
//! the client says of itself.

use crate::stand::{Host, RealServer, Starter, better, skipped};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

const CGI: &str = "#!/bin/sh\n\
    printf 'Content-Type: text/plain\\r\\n\\r\\nSEES %s|%s\\n' \
    \"$HTTP_X_FORWARDED_FOR\" \"$HTTP_X_FORWARDED_PROTO\"\n";

/// A program for servers to run.
fn cgi(dir: &Path) {
    fs::create_dir(dir.join("cgi-bin")).unwrap();
    let file = dir.join("cgi-bin/app");
    fs::write(&file, CGI).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
}

fn python(host: &Host) -> Option<RealServer> {
    const APPLICATION: &str = "\
import socketserver, sys
from wsgiref.simple_server import WSGIServer, make_server
class Server(WSGIServer):
    def server_bind(self): # without looking up its own name
        socketserver.TCPServer.server_bind(self)
        self.server_name, self.server_port = self.server_address
        self.setup_environ()
def sees(seen, start):
    names = ['HTTP_X_FORWARDED_FOR', 'HTTP_X_FORWARDED_PROTO']
    start('200 OK', [('Content-Type', 'text/plain')])
    return [('SEES %s|%s\\n' % tuple(seen.get(name) for name in names)).encode()]
make_server(sys.argv[1], int(sys.argv[2]), sees, Server).serve_forever()
";
    RealServer::start(host, &["python3"], |_, at| {
        let at = at.inet();
        ["-c", APPLICATION, &at.ip().to_string(), &at.port().to_string()].map(str::to_owned).into()
    })
}

fn busybox(host: &Host) -> Option<RealServer> {
    let list = Command::new("busybox").arg("--list").output();
    if list.is_ok_and(|list| !String::from_utf8_lossy(&list.stdout).contains("httpd\n")) {
        skipped("busybox has no httpd");
        return None;
    }
    RealServer::start(host, &["busybox"], |dir, at| {
        cgi(dir);
        let dir = dir.to_str().unwrap();
        ["httpd", "-f", "-p", &at.to_string(), "-h", dir].map(str::to_owned).into()
    })
}

fn nginx(host: &Host) -> Option<RealServer> {
    RealServer::start(host, &["nginx"], |dir, at| {
        let file = dir.join("conf");
        let dir = dir.to_str().unwrap();
        let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
            .map(|what| format!("{what}_temp_path {dir}/{what};\n"));
        let text = format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/log;\n\
             events {{}}\nhttp {{\naccess_log off;\nunderscores_in_headers on;\n\
             ignore_invalid_headers off;\n{}server {{\nlisten {at};\nlocation / {{\n\
             return 200 \"SEES $http_x_forwarded_for|$http_x_forwarded_proto\\n\";\n}}\n}}\n}}\n",
            temporary.concat()
        );
        fs::write(&file, text).unwrap();
        ["-p", dir, "-c", file.to_str().unwrap()].map(str::to_owned).into()
    })
}

/// In one process, so that it can be killed.
fn apache(host: &Host) -> Option<RealServer> {
    RealServer::start(host, &["apache2"], |dir, at| {
        cgi(dir);
        let file = dir.join("conf");
        let dir = dir.to_str().unwrap();
        let modules = ["mpm_prefork", "authz_core", "alias", "cgi"].map(|name| {
            format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n")
        });
        let text = format!(
            "ServerRoot {dir}\nDefaultRuntimeDir {dir}\nServerName x\nListen {at}\n\
             User nobody\nGroup nogroup\nPidFile {dir}/pid\nErrorLog {dir}/log\n\
             DocumentRoot {dir}\nHttpProtocolOptions Unsafe\nMergeTrailers on\n{}\
             ScriptAlias /cgi-bin/ {dir}/cgi-bin/\n",
            modules.concat()
        );
        fs::write(&file, text).unwrap();
        ["-X", "-f", file.to_str().unwrap()].map(str::to_owned).into()
    })
}

/// What a client may put into a request, beside what belongs there.
const CASES: &[&str] = &[
    "",
    "X-Forwarded-For: 10.0.0.9\r\n",
    "x-forwarded-for:\r\n",
    "X-Forwarded-For: 10.0.0.9\r\nA: b\r\nX-Forwarded-For: 10.0.0.8\r\n",
    "X-Forwarded-For: \"10.0.0.9\r\n",
    "X-Forwarded-For: 10.0.0.9 (\\\r\n",
    "X-Forwarded-For: 10.0.0.9\r\n , 10.0.0.8\r\n",
    "X_Forwarded_For: 10.0.0.9\r\n",
    "X-Forwarded_For: 10.0.0.9\r\nX.Forwarded.For: 10.0.0.8\r\n",
    "X-Forwarded-Proto: https\r\n",
    "X_Forwarded_Proto: https\r\n",
    "Connection: X-Forwarded-For, keep-alive\r\n",
    "A: b\r\n X-Forwarded-For: 10.0.0.9\r\n",
    "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA\r\n",
    "Upgrade:\r\n",
    "Connection: Upgrade\r\nUpgrade: websocket\r\n",
    "X-Forwarded-For: 10.0.0.9\r\nA : b\r\n",
    "A : b\r\nX-Forwarded-For: 10.0.0.9\r\n",
];

/// What an application sees last of each field, for each request of a
/// connection that it was asked for.
fn sees(host: &Host, server: &RealServer, case: &str) -> Vec<(String, String)> {
    let pen = Starter::on(host)
        .args(["-H"])
        .expect("HTTP request that can be read in two ways")
        .server(&server.at)
        .start();
    let client = pen.connect();
    let chunks = "Transfer-Encoding: chunked\r\n\r\n0\r\nX-Forwarded-For: 10.0.0.7\r\n\r\n";
    let last = "X-Forwarded-For: 10.0.0.6\r\nConnection: close\r\n\r\n";
    let get = "GET /cgi-bin/app HTTP/1.1\r\nHost: x\r\n";
    client.send(format!("{get}{case}{chunks}{get}{last}"));
    let mut data = Vec::new();
    let _ = std::io::Read::read_to_end(&mut &client.0, &mut data);
    let text = String::from_utf8_lossy(&data);
    let lines = text.lines().filter_map(|line| line.strip_prefix("SEES "));
    let last = |list: &str| list.rsplit(',').next().unwrap_or_default().trim().to_owned();
    lines.filter_map(|line| line.split_once('|').map(|(a, b)| (last(a), last(b)))).collect()
}

/// All of these servers read a request in every case but the last two, which
/// each reads differently; nginx and Apache read the next one, too.
fn sees_pens_value_last(server: impl Fn(&Host) -> Option<RealServer>, requests: usize) {
    better!(HTTP);
    let host = Host::new();
    let Some(server) = server(&host) else { return };
    for case in CASES {
        let seen = sees(&host, &server, case);
        let ours = ("127.0.0.1".to_owned(), "http".to_owned());
        let is_plain = !case.contains("A : b");
        let seen = if is_plain { &seen[..] } else { &seen[..seen.len().min(1)] };
        assert!(seen.iter().all(|seen| *seen == ours), "{case:?}: {seen:?}");
        assert!(!is_plain || seen.len() == requests, "{case:?}: {seen:?}");
    }
}

#[test]
fn pythons_wsgiref_sees_pens_value_last() {
    sees_pens_value_last(python, 1);
}

#[test]
fn busybox_httpd_sees_pens_value_last() {
    sees_pens_value_last(busybox, 1);
}

#[test]
fn nginx_sees_pens_value_last() {
    sees_pens_value_last(nginx, 2);
}

#[test]
fn apache_sees_pens_value_last() {
    sees_pens_value_last(apache, 2);
}
