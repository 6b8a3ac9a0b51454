//! What lines mean.

use super::*;

fn ok(line: &str) -> Command {
    let line = parse(line).unwrap().unwrap();
    assert_eq!(line.ignored, None);
    line.command
}

#[test]
fn the_table_is_in_order_and_complete() {
    for pair in TABLE.windows(2) {
        assert!(pair[0].name < pair[1].name, "{}", pair[1].name);
    }
    for spec in TABLE {
        assert!(!spec.help.is_empty(), "{}", spec.name);
    }
}

#[test]
fn lines_become_commands() {
    assert_eq!(parse("").unwrap(), None);
    assert_eq!(parse("  # no thing").unwrap(), None);
    let set = |name, value| Command::Set(find(name).unwrap(), value);
    assert_eq!(ok("mode"), Command::Show(find("mode").unwrap()));
    assert_eq!(ok("no hash"), set("hash", Value::Flag(false)));
    assert_eq!(ok("recent"), Command::Recent(300));
    assert_eq!(ok("blacklist"), Command::Show(find("blacklist").unwrap()));
    assert_eq!(ok("timeout 7"), set("timeout", Value::Number(7)));
    assert_eq!(ok("client_acl 12"), set("client_acl", Value::Number(0)));
    assert_eq!(ok("client_acl -1"), set("client_acl", Value::Number(0)));
    assert_eq!(ok("no log"), set("log", Value::Text(None)));
    assert_eq!(ok("no acl 9"), Command::AclClear(9));
    assert_eq!(ok("no delayed_forward"), Command::Nothing);
    assert_eq!(ok("source ::1"), set("source", Value::Text(Some("::1".into()))));
    assert_eq!(
        ok("server 3 address h port http blacklist 0"),
        Command::Server(
            3,
            vec![Change::Address("h".into()), Change::Port("http".into()), Change::Blacklist(0)]
        )
    );
}

#[test]
fn what_a_command_has_no_use_for_is_named_and_ignored() {
    let ignored = |line| {
        let line = parse(line).unwrap().unwrap();
        (line.command, line.ignored.unwrap_or_default())
    };
    let web = |changes| (Command::Server(1, changes), String::new());
    assert_eq!(ignored("server 1 max 5 # web 2"), web(vec![Change::Max(5)]));
    assert_eq!(ignored("server 1 #max 5"), web(vec![]));
    assert_eq!(parse("; mode").unwrap(), None);
    let hash = Command::Set(find("hash").unwrap(), Value::Flag(true));
    assert_eq!(ignored("hash yes"), (hash, "hash: 'yes' ignored, expected no argument".into()));
    let (command, why) = ignored("no acl 1 2 3");
    assert_eq!(command, Command::AclClear(1));
    assert_eq!(why, "no acl: '2 3' ignored, expected list");
    let (command, why) = ignored("server 0 max 3 foo 4 hard 5 web");
    assert_eq!(command, Command::Server(0, vec![Change::Max(3), Change::Hard(5)]));
    assert!(why.starts_with("server: 'foo 4 web' ignored, expected index"), "{why}");
    assert_eq!(ignored("delayed_forward a b"), (Command::Nothing, String::new()));
}

#[test]
fn access_list_entries() {
    let entry = |line| match ok(line) {
        Command::AclAdd(_, entry) => entry.net,
        other => panic!("{other:?}"),
    };
    let v4 = |ip: [u8; 4], mask: [u8; 4]| Net::V4(ip.into(), mask.into());
    assert_eq!(entry("acl 0 permit 1.2.3.4"), v4([1, 2, 3, 4], [255; 4]));
    let masked = v4([1, 2, 3, 4], [255, 255, 0, 0]);
    assert_eq!(entry("acl 0 deny 1.2.3.4 255.255.0.0"), masked);
    assert_eq!(entry("acl 0 deny 1.2.3.4/16"), masked);
    assert_eq!(entry("acl 0 deny 1.2.3.4/0"), v4([1, 2, 3, 4], [0; 4]));
    assert_eq!(entry("acl 0 deny ::1/64"), Net::V6("::1".parse().unwrap(), 64));
    assert_eq!(entry("acl 0 deny ::1"), Net::V6("::1".parse().unwrap(), 128));
}

#[test]
fn bad_lines_say_what_is_wrong() {
    for (line, part) in [
        ("foo", "foo: no such command (help lists them)"),
        ("no", "no: no such command"),
        ("no foo", "foo: no such command"),
        ("servr 0 port 1", "servr: no such command (did you mean server?)"),
        ("no roundrobbin", "did you mean roundrobin?"),
        ("blaklist 5", "did you mean blacklist?"),
        ("acl 1 permit 10.0.0.0 8", "'8' is no mask; write 10.0.0.0/8"),
        ("no mode", "no such command"),
        ("blacklist x", "blacklist: bad number 'x', expected [seconds]"),
        ("blacklist -4", "bad number '-4'"),
        ("acl", "argument missing"),
        ("acl 1 foo 1.2.3.4", "'foo' is neither permit nor deny"),
        ("acl 99 permit 1.2.3.4", "no access list 99"),
        ("acl 1 permit 1.2.3.x", "bad address"),
        ("acl 1 permit 1.2.3.4/33", "bad length '33'"),
        ("acl 1 permit ::1/129", "bad length '129'"),
        ("acl 1 permit 1.2.3.4 x", "bad mask 'x'"),
        ("acl 1 permit ::1 ::", "unexpected '::'"),
        ("acl 1 permit country SE", "GeoIP"),
        ("no acl", "argument missing"),
        ("server", "argument missing"),
        ("server x", "bad number 'x'"),
        ("server 99999999", "too high"),
        ("server 0 max", "max: value missing"),
        ("server 0 max x", "bad number 'x'"),
        ("source x", "unable to set source address to 'x'"),
        ("tcp_fastclose", "do_cmd: ignoring tcp_fastclose without argument"),
        ("tcp_fastclose x", "unknown word 'x'"),
        ("idlers 1001", "too high"),
        ("tarpit_acl 1", "a tarpit is not built in"),
        ("ssl_keyfile x", "TLS is not built in"),
        ("dsr_if eth0", "direct server return is not built in"),
    ] {
        let complaint = parse(line).unwrap_err();
        assert!(complaint.contains(part), "{line}: {complaint}");
    }
    assert!(parse(&"x".repeat(5000)).unwrap_err().contains("4095"));
}

/// Pages can make browsers send a line like this to the control port.
#[test]
fn a_browsers_request_is_no_command() {
    for spec in TABLE {
        for target in ["/", "/1", "/etc/passwd", "0"] {
            let line = format!("{} {target} HTTP/1.1", spec.name);
            let parsed = parse(&line);
            assert!(parsed.is_err(), "{line}: {parsed:?}");
        }
    }
}

#[test]
fn scripts_know_the_reply_to_what_is_no_command() {
    for (line, word) in [("foo", "foo"), ("no foo", "foo"), ("no", "no"), ("servr 0", "servr")] {
        let reply = format!("do_cmd: ignoring command starting with '{word}'");
        assert_eq!(ignored(line), Some(reply));
    }
    for line in ["", "# foo", "mode x", "no acl", "ssl_ciphers x"] {
        assert_eq!(ignored(line), None, "{line}");
    }
}
