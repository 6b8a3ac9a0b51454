//! Command lines that are refused, in one line that names the word.

use crate::stand::{Dir, Host, better, refused};

#[test]
fn malformed_option_values() {
    better!(WRONG_WORD);
    for (option, value) in [
        ("-b", "abc"),
        ("-b", "-1"),
        ("-b", "1s"),
        ("-b", ""),
        ("-T", "abc"),
        ("-T", "-1"),
        ("-t", "abc"),
        ("-t", "0"),
        ("-t", "-1"),
        ("-t", "99999999999999999999"),
        ("-c", "abc"),
        ("-c", "0"),
        ("-c", "-1"),
        ("-x", "abc"),
        ("-x", "0"),
        ("-x", "500x"),
        ("-x", "1.5"),
        ("-x", "99999999999999999999"),
        ("-m", "abc"),
        ("-q", "abc"),
        ("-q", "-1"),
        ("-C", "99999"),
        ("-C", "127.0.0.1:"),
        ("-C", "127.0.0.1"),
        ("-C", "no-such-service"),
        ("-C", "bad..host:80"),
        ("-e", "127.0.0.1:99999"),
        ("-e", "127.0.0.1:80:x"),
        ("-e", "[::1"),
        ("-e", "bad..host:80"),
        ("-B", "127.0.0.1:http:1:2:3:4:5"),
        ("-B", "bad..host:80"),
        ("-O", "acl 99 permit 1.2.3.4"),
        ("-O", "blacklist x"),
        ("-O", "timeout 0"),
        ("-O", "server x"),
        ("-O", "emergency bad..host:80"),
        ("-o", "tcp_fastclose sideways"),
        ("-O", "listen 99999"),
        ("-O", "listen 0"),
        ("-C", "0"),
        ("-e", ""),
    ] {
        // Commands and addresses are refused with the bad word, numbers with
        // the whole option.
        let word = value.split(' ').next_back().unwrap();
        let words = [option, value, "127.0.0.1:9", "127.0.0.1:9"];
        refused(&words, &[word]);
        refused(&[words[2], words[3], words[0], words[1]], &[option, word]);
    }
    refused(&["-F", "", "127.0.0.1:9", "127.0.0.1:9"], &["-F", "no file"]);
    let attached = ["-xabc", "127.0.0.1:9", "127.0.0.1:9"];
    refused(&attached, &["-x", "abc", "number"]);
    refused(&["127.0.0.1:9", "127.0.0.1:9", "-rx"], &["-x", "value"]);
}

#[test]
fn unknown_options() {
    better!(WRONG_WORD);
    for option in ["-y", "-ry", "--nonsense", "--check=1", "-9"] {
        let named = option.trim_start_matches("-r").trim_start_matches('-');
        let named = named.trim_end_matches("=1");
        refused(&[option, "127.0.0.1:9", "127.0.0.1:9"], &[named, "option"]);
    }
}

#[test]
fn malformed_listen_operands() {
    better!(WRONG_WORD);
    for word in [
        "99999",
        "0",
        ":0",
        "-",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:http:",
        "127.0.0.1:80x",
        "127.0.0.1:65536",
        "no-such-service",
        "127.0.0.1:no-such-service",
        "bad..host:80",
        "1.2.3.4.5:80",
        "[::1:80",
        "/nonexistent/directory/pen.sock",
    ] {
        refused(&[word, "127.0.0.1:9"], &[word]);
    }
}

#[test]
fn malformed_server_operands() {
    better!(WRONG_WORD);
    let host = Host::new();
    let listen = host.at().to_string();
    for word in [
        "127.0.0.1:x",
        "127.0.0.1:99999",
        "127.0.0.1:-1",
        "127.0.0.1:80x",
        "127.0.0.1:80:x",
        "127.0.0.1:80:-1",
        "127.0.0.1:80:1:x",
        "127.0.0.1:80:1:2:x",
        "127.0.0.1:80:1:2:3:x",
        "127.0.0.1:80:1:2:3:4:5",
        "127.0.0.1:80:1:2:3:4:",
        ":80",
        "[::1",
        "[::1]80",
        "::1",
        "::1:80",
        "bad..host",
        "bad..host:80",
    ] {
        refused(&[listen.as_str(), "127.0.0.1:9", word], &[word]);
    }
    refused(&[listen.as_str(), ""], &["host"]);
}

/// Ways to write things that other programs have: pen says how it is done here.
#[test]
fn habits_get_a_remedy() {
    better!(WRONG_WORD);
    let host = Host::new();
    let listen = host.at().to_string();
    let listen = listen.as_str();
    let dir = Dir::new();
    let config = dir.put("pen.cfg", "servr 0 port 1\n");
    let config = config.to_str().unwrap();
    for (words, remedy) in [
        (&[listen, "http://localhost"][..], "write localhost:80"),
        (&["http://localhost:8080/", "127.0.0.1:9"], "write localhost:8080"),
        (&[listen, "localhost:80/"], "write localhost:80, without a path"),
        (&[listen, "::1:80"], "write [::1]:80"),
        (&[listen, "fd00::1:80"], "write [fd00::1]:80"),
        (&[listen, "a..a:1,b..b:2"], "a word of its own: a..a:1 b..b:2"),
        (&["*:80", "127.0.0.1:9"], "write 80 for all IPv4 addresses"),
        (&["-O", "server 0 address 127.0.0.1:80", listen], "write address 127.0.0.1 port 80"),
        (&["-F", config, listen], "did you mean server?"),
        (&["-x=500", listen, "127.0.0.1:9"], "write -x 500"),
        (&["-help"], "write --help"),
        (&["-version"], "write --version"),
        (&["-web", "8081", listen, "127.0.0.1:9"], "write --web"),
        // TEST-NET-3, nobody's address (RFC 5737).
        (&["203.0.113.1:9", "127.0.0.1:9"], "servers come behind it"),
    ] {
        refused(words, &[remedy]);
    }
}

#[test]
fn tls_is_not_built_in() {
    better!(NOT_BUILT);
    for words in [
        &["-E", "cert.pem"][..],
        &["-K", "key.pem"],
        &["-G", "ca.pem"],
        &["-A", "/etc/ssl/certs"],
        &["-L", "tls1"],
        &["-Z"],
        &["-R"],
    ] {
        let all = [words, &["127.0.0.1:9", "127.0.0.1:9"]].concat();
        let parts = [words[0], "TLS", "stunnel", "hitch", "nginx"];
        refused(&all, &parts);
    }
}

#[test]
fn commands_that_are_not_built_in() {
    better!(NOT_BUILT);
    for (line, part) in [
        ("acl 1 permit country SE", "GeoIP"),
        ("dsr_if eth0", "direct server return"),
        ("tarpit_acl 1", "tarpit"),
        ("ssl_keyfile key.pem", "TLS"),
        ("ssl_certfile cert.pem", "TLS"),
    ] {
        let dir = Dir::new();
        let file = dir.put("pen.cfg", format!("# comment\n{line}\n"));
        for words in [["-O", line], ["-F", file.to_str().unwrap()]] {
            let all = [&words[..], &["127.0.0.1:9", "127.0.0.1:9"]].concat();
            refused(&all, &[part, "is not built in"]);
        }
    }
}
