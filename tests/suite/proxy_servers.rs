//! The PROXY protocol with servers and balancers that others have written.

use crate::checks::is;
use crate::stand::{
    Asker, At, Caller, Client, Host, NAME, Pen, RealServer, Starter, answer, better, query, root,
    skipped, wait_until,
};
use std::fmt::Write as _;
use std::fs;
use std::io::Read;
use std::net::Ipv4Addr;
use std::path::Path;

/// An nginx with this in its configuration, which `body` makes of its address.
fn nginx(host: &Host, body: impl FnOnce(&At) -> String) -> Option<RealServer> {
    RealServer::start(host, &["nginx"], |dir, at| {
        let file = dir.join("conf");
        let dir = dir.to_str().unwrap();
        let body = body(at);
        let mut text = format!(
            "daemon off;\nmaster_process off;\npid {dir}/pid;\nerror_log {dir}/log;\n{}\
             events {{}}\nhttp {{\naccess_log off;\n",
            if body.contains("stream {") {
                format!("load_module {STREAM};\n")
            } else {
                String::new()
            }
        );
        for what in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            let _ = writeln!(text, "{what}_temp_path {dir}/{what};");
        }
        // A part of http, or what stands behind it.
        let _ = match body.contains("stream {") {
            true => write!(text, "}}\n{body}\n"),
            false => write!(text, "{body}\n}}\n"),
        };
        fs::write(&file, text).unwrap();
        ["-p", dir, "-c", file.to_str().unwrap()].map(str::to_owned).into()
    })
}

const STREAM: &str = "/usr/lib/nginx/modules/ngx_stream_module.so";

/// An HAProxy with this section, which `body` makes of its address.
fn haproxy(host: &Host, body: impl FnOnce(&At) -> String) -> Option<RealServer> {
    RealServer::start(host, &["haproxy"], |dir, at| {
        let file = dir.join("conf");
        let text = format!(
            "defaults\nmode tcp\ntimeout connect 5s\ntimeout client 20s\ntimeout server 20s\n{}\n",
            body(at)
        );
        fs::write(&file, text).unwrap();
        ["-db", "-f", file.to_str().unwrap()].map(str::to_owned).into()
    })
}

/// What a web server that shows it says of a client, with its port.
fn shown(client: &Client) -> String {
    client.send("GET / HTTP/1.0\r\n\r\n");
    // One that wants a header and gets none may end with a reset.
    let mut text = String::new();
    let _ = (&client.0).read_to_string(&mut text);
    text.rsplit("\r\n\r\n").next().unwrap().trim().to_owned()
}

/// A pen that sends headers of this version and checks its server so.
fn checking(send: &str, check: &str) -> Starter {
    let starter = Starter::new().control().args(["-O", &format!("send_proxy {send}")]);
    starter.args(["-O", "check 1", "-O", check]).expect("server 0")
}

/// Before the first client a check alone can show that the server is up.
fn has_checked(pen: &Pen) {
    is(pen, 0, "up");
    assert_eq!(pen.ask("check 0"), "0\n");
}

/// A pen before such a server: what it shows is the client, and checks are no errors.
fn shows_clients(server: &At) {
    for send in ["v1", "v2"] {
        let pen = checking(send, "check_http /").server(server).start();
        has_checked(&pen);
        let client = pen.connect();
        let own = client.0.local_addr().unwrap();
        assert_eq!(shown(&client), format!("{} {}", own.ip(), own.port()), "{send}");
        let other = shown(&Caller::new(9, &pen).connect());
        assert!(other.starts_with("127.0.0.9 "), "{send}: {other}");
        // Without the header it does not serve.
        pen.ask("server 0 send_proxy off");
        assert!(!shown(&pen.connect()).starts_with("127."), "{send}");
    }
}

#[test]
fn nginx_takes_the_header() {
    better!(PROXY);
    let host = Host::new();
    let server = nginx(&host, |at| {
        format!(
            "server {{\nlisten {at} proxy_protocol;\nlocation / {{ return 200 \
             \"$proxy_protocol_addr $proxy_protocol_port\"; }}\n}}"
        )
    });
    if let Some(server) = server {
        shows_clients(&server.at);
    }
}

#[test]
fn haproxy_takes_the_header() {
    better!(PROXY);
    let host = Host::new();
    let server = haproxy(&host, |at| {
        format!(
            "frontend here\nmode http\nbind {at} accept-proxy\nhttp-request return status 200 \
             content-type text/plain lf-string \"%[src] %[src_port]\""
        )
    });
    if let Some(server) = server {
        shows_clients(&server.at);
    }
}

/// A pen behind a balancer, which comes from 127.0.0.66.
fn behind(host: &Host) -> Pen {
    let starter = Starter::on(host).args(["-O", "accept_proxy", "-O", "acl 4 permit 127.0.0.66"]);
    let log = format!("conn_log {}", host.file("conn.log").display());
    starter.args(["-O", "proxy_acl 4", "-O", &log]).letters(1).web().start()
}

/// The client comes through the balancer; whose address stands in the log.
fn comes_through(pen: &Pen, balancer: &At) {
    let client = Client::new(balancer);
    assert_eq!(client.letter(), "A");
    client.send("\n");
    assert_eq!(client.letter(), "A");
    let own = client.0.local_addr().unwrap();
    drop(client);
    wait_until(format!("{own} is logged"), || pen.text("conn.log").contains(&format!(" {own} ")));
    assert!(pen.ask("recent").contains("127.0.0.1 connects "), "{}", pen.ask("recent"));
}

#[test]
fn haproxy_sends_the_header_and_its_checks_are_no_clients() {
    better!(PROXY);
    for send in ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"] {
        let host = Host::new();
        let pen = behind(&host);
        let balancer = haproxy(&host, |at| {
            format!(
                "listen here\nbind {at}\nunique-id-format %{{+X}}o%ci\n\
                 server a {} {send} source 127.0.0.66 check inter 200ms",
                pen.at
            )
        });
        let Some(balancer) = balancer else {
            return;
        };
        let checks = || pen.get("/status.json").member("\"outcomes\":", "accepted").to_owned();
        wait_until("checks have come", || checks().parse::<u32>().unwrap() > 3);
        comes_through(&pen, &balancer.at);
        let outcome = pen.get("/status.json");
        assert_eq!(outcome.member("\"outcomes\":", "dropped_no_header"), "0", "{send}");
        // Its checks in version 1 have real addresses.
        let clients = pen.ask("recent").lines().count();
        assert_eq!(clients, if send == "send-proxy" { 2 } else { 1 }, "{send}");
    }
}

#[test]
fn nginx_sends_the_header() {
    better!(PROXY);
    if !Path::new(STREAM).exists() {
        return skipped("libnginx-mod-stream is not installed");
    }
    let host = Host::new();
    let pen = behind(&host);
    let balancer = nginx(&host, |at| {
        format!(
            "stream {{\nserver {{\nlisten {at};\nproxy_pass {};\nproxy_protocol on;\n\
             proxy_bind 127.0.0.66;\n}}\n}}",
            pen.at
        )
    });
    if let Some(balancer) = balancer {
        comes_through(&pen, &balancer.at);
    }
}

/// It sends a header in the first datagram of a session, of version 1, and sessions can
/// be of one datagram.
#[test]
fn nginx_sends_the_header_of_datagrams() {
    better!(PROXY);
    if !Path::new(STREAM).exists() {
        return skipped("libnginx-mod-stream is not installed");
    }
    let host = Host::new();
    let starter = Starter::on(&host).udp().control().args(["-O", "accept_proxy"]);
    let pen = starter.letters(1).start();
    let balancer = nginx(&host, |at| {
        format!(
            "stream {{\nserver {{\nlisten {at} udp;\nproxy_pass {};\nproxy_protocol on;\n\
             proxy_requests 1;\nproxy_responses 1;\nproxy_bind 127.0.0.66;\n}}\n}}",
            pen.at
        )
    });
    if let Some(balancer) = balancer {
        assert_eq!(Asker::number(8, &balancer.at).letters(3), "AAA");
        assert!(pen.ask("recent").starts_with("127.0.0.8 connects "), "{}", pen.ask("recent"));
        assert_eq!(pen.servers[0].heard()[0].1, b"?");
    }
}

/// It notes whom the header names; its lists are about the real sender (1.17).
#[test]
fn unbound_takes_a_header_on_each_datagram() {
    better!(PROXY);
    let host = Host::new();
    let log = host.file("unbound.log");
    let server = RealServer::start(&host, &["unbound"], |dir, at| {
        let (at, file) = (at.inet(), dir.join("conf"));
        let port = at.port();
        let text = format!(
            "server:\n interface: {}@{port}\n proxy-protocol-port: {port}\n username: \"\"\n \
             chroot: \"\"\n directory: \"{}\"\n pidfile: \"\"\n use-syslog: no\n logfile: \"{}\"\n \
             log-queries: yes\n do-daemonize: no\n access-control: 127.0.0.0/8 allow\n \
             local-data: \"{NAME}. A 192.0.2.7\"\nremote-control:\n control-enable: no\n",
            at.ip(),
            dir.display(),
            log.display(),
        );
        fs::write(&file, text).unwrap();
        ["-d", "-c", file.to_str().unwrap()].map(str::to_owned).into()
    });
    let Some(server) = server else {
        return;
    };
    let noted = |who: &str| {
        let text = fs::read_to_string(&log).unwrap_or_default();
        text.lines().filter(|line| line.contains(&format!(" {who} {NAME}. A IN"))).count()
    };
    let starter = Starter::on(&host).udp().control().args(["-O", "send_proxy v2"]);
    let pen = starter.server(&server.at).start();
    for number in [8, 9] {
        let asker = Asker::number(number, &pen.at);
        for id in 1..4 {
            asker.send(query(id));
            assert_eq!(answer(&asker.receive()), (id, Ipv4Addr::new(192, 0, 2, 7)));
        }
        let who = format!("127.0.0.{number}");
        wait_until(format!("{who} is noted"), || noted(&who) == 3);
    }
    // A check has a header, too; it names nobody.
    let hex: String = query(6).iter().map(|byte| format!("\\x{byte:02x}")).collect();
    pen.ask(&format!("check_send {hex}"));
    pen.ask("check_expect \\x00\\x06\\x85\\x80");
    pen.ask("check 1");
    is(&pen, 0, "up");
    wait_until("a check is noted", || noted("127.0.0.1") > 0);
}

#[test]
fn dovecot_takes_the_header() {
    better!(PROXY);
    root!();
    let host = Host::new();
    let log = host.file("dovecot.log");
    let server = RealServer::start(&host, &["dovecot"], |dir, at| {
        let (at, file) = (at.inet(), dir.join("conf"));
        let text = format!(
            "protocols = imap\nlisten = {}\nbase_dir = {}/run\nstate_dir = {}/run\n\
             log_path = {}\nssl = no\ndisable_plaintext_auth = no\nauth_mechanisms = plain\n\
             haproxy_trusted_networks = 127.0.0.0/8\npassdb {{\n driver = static\n \
             args = password=good\n}}\nuserdb {{\n driver = static\n args = uid=nobody \
             gid=nogroup home=/nonexistent\n}}\nservice imap-login {{\n inet_listener imap {{\n \
             port = {}\n haproxy = yes\n }}\n inet_listener imaps {{\n port = 0\n }}\n}}\n",
            at.ip(),
            dir.display(),
            dir.display(),
            log.display(),
            at.port(),
        );
        fs::write(&file, text).unwrap();
        ["-F", "-c", file.to_str().unwrap()].map(str::to_owned).into()
    });
    let Some(server) = server else {
        return;
    };
    for (send, number) in [("v1", 8), ("v2", 9)] {
        let pen = checking(send, "check_expect *\\sOK").server(&server.at).start();
        has_checked(&pen);
        let caller = Caller::new(number, &pen);
        let client = caller.connect();
        // It speaks first.
        assert_eq!(client.receive(4), b"* OK");
        client.send("a LOGIN somebody wrong\r\nb LOGOUT\r\n");
        let text = String::from_utf8(client.rest()).unwrap();
        assert!(text.contains("a NO "), "{text}");
        let wanted = format!(" rip=127.0.0.{number},");
        wait_until(format!("{wanted} in the log"), || {
            fs::read_to_string(&log).unwrap_or_default().contains(&wanted)
        });
    }
}
