//! Every control command, good and bad, side by side with the C program: the
//! replies are the same to the byte, or better and the table says why.

use crate::differences::*;
use crate::stand::{Dir, Place, Starter, c_program, compared, is_root, known};

/// How our reply stands to the C program's.
pub(crate) enum Reply {
    /// The same.
    Same,
    /// Ours, and why it is not the C program's.
    Better(&'static str, Difference),
    /// Ours; what the C program does with the line is not to be shown, as it
    /// ends or hangs it.
    Alone(&'static str, Difference),
    /// Ours, after a line that only ours has refused.
    Still(&'static str),
}
use Reply::{Alone, Better, Same, Still};

pub(crate) const LINES: &[(&str, Reply)] = &[
    ("mode", Same),
    ("hash", Same),
    ("roundrobin", Same),
    ("stubborn", Same),
    ("weight", Same),
    ("prio", Same),
    ("mode", Same),
    ("no hash", Same),
    ("no roundrobin", Same),
    ("no stubborn", Same),
    ("no weight", Same),
    ("no prio", Same),
    ("mode", Same),
    ("blacklist", Same),
    ("blacklist 10", Same),
    ("blacklist x", Better("blacklist: bad number 'x', expected [seconds]\n", WRONG_COMMAND)),
    ("blacklist", Still("10\n")),
    ("timeout", Same),
    ("timeout 5", Same),
    ("timeout 0", Better("timeout: at least 1 second\n", WRONG_COMMAND)),
    ("tracking 60", Same),
    ("tracking", Same),
    ("debug", Same),
    ("debug 0", Same),
    ("clients_max", Same),
    ("clients_max 3000", Same),
    ("clients_max 100", Same),
    ("conn_max 600", Same),
    ("conn_max 10", Same),
    ("conn_max", Same),
    ("conn_max x", Alone("conn_max: bad number 'x', expected [number]\n", WRONG_COMMAND)),
    ("client_acl", Same),
    ("client_acl 3", Same),
    ("client_acl 12", Same),
    ("control_acl", Same),
    ("control_acl 0", Same),
    ("control", Same),
    ("listen", Same),
    ("log", Same),
    ("log /dev/null", Same),
    ("log", Same),
    ("no log", Same),
    ("log", Same),
    ("web_stats", Same),
    ("web_stats /dev/null", Same),
    ("web_stats", Same),
    ("no web_stats", Same),
    ("web_stats", Same),
    ("idle_timeout 7", Same),
    ("idle_timeout", Same),
    ("idle_timeout 0", Same),
    ("idlers", Same),
    (
        "idlers 1001",
        Alone("idlers: 1001 is too high, 1000 at most, expected [number]\n", WRONG_COMMAND),
    ),
    ("connection 0", Same),
    ("connection 5", Same),
    ("connection 9999", Same),
    ("close 9999", Same),
    ("close 0", Same),
    ("socket 999", Same),
    ("source 127.0.0.1", Same),
    ("source x", Same),
    ("source", Alone("source: argument missing, expected address\n", WRONG_COMMAND)),
    ("source 0.0.0.0", Same),
    ("tarpit_acl", Same),
    ("tarpit_acl 1", Better("a tarpit is not built in\n", NOT_BUILT)),
    ("tcp_fastclose", Same),
    ("tcp_fastclose up", Same),
    ("tcp_fastclose down", Same),
    ("tcp_fastclose both", Same),
    ("tcp_fastclose off", Same),
    (
        "tcp_fastclose x",
        Better("tcp_fastclose: unknown word 'x', expected up|down|both|off\n", WRONG_COMMAND),
    ),
    ("exit", Same),
    ("foo", Same),
    ("no foo", Better("do_cmd: ignoring command starting with 'foo'\n", WRONG_COMMAND)),
    ("servers", Same),
    ("server 0 max 5 hard 6 weight 7 prio 8", Same),
    ("server 1 port 99", Same),
    ("server 0 blacklist 100", Same),
    ("server 0 blacklist 0", Same),
    ("server 0 acl 3", Same),
    ("server 0 acl 0", Same),
    ("servers", Same),
    (
        "server x",
        Better(
            "server: bad number 'x', expected index [acl list|address host|port port|max n|hard n|blacklist seconds|weight n|prio n]...\n",
            WRONG_COMMAND,
        ),
    ),
    ("recent", Same),
    ("recent 5", Same),
    ("acl 1 permit 127.0.0.1", Same),
    ("acl 1 deny 10.0.0.0 255.0.0.0", Same),
    ("acl 2 permit ::1/64", Same),
    ("acl 4 permit 0 0", Same),
    ("acl 4 permit 127.1", Same),
    ("acl 4 permit 10.1 255.255", Same),
    (
        "acl 4 permit 10.0.0.0 8",
        Better(
            "acl: '8' is no mask; write 10.0.0.0/8, expected list permit|deny address [mask] | \
             address/length\n",
            WRONG_COMMAND,
        ),
    ),
    ("try mode", Better("ok\nno hash no roundrobin no stubborn no weight no prio\n", NEW_COMMANDS)),
    (
        "acl 1 foo",
        Better(
            "acl: argument missing, expected list permit|deny address [mask] | address/length\n",
            WRONG_COMMAND,
        ),
    ),
    (
        "acl 99 permit 1.2.3.4",
        Better(
            "acl: no access list 99, expected list permit|deny address [mask] | address/length\n",
            WRONG_COMMAND,
        ),
    ),
    ("acl 1 permit country SE", Better("acl country (GeoIP) is not built in\n", NOT_BUILT)),
    ("no acl 1", Same),
    ("no acl", Alone("no acl: argument missing, expected list\n", WRONG_COMMAND)),
    ("ascii", Same),
    ("no ascii", Same),
    ("dummy", Same),
    ("no dummy", Same),
    ("http", Same),
    ("no http", Same),
    ("transparent", Same),
    ("no transparent", Same),
    ("keepalive", Same),
    ("no keepalive", Same),
    ("abort_on_error", Same),
    ("no abort_on_error", Same),
    ("no block", Same),
    ("block", Better("", OLD_COMMANDS)),
    ("delayed_forward", Better("", OLD_COMMANDS)),
    ("no delayed_forward", Same),
    ("epoll", Same),
    ("kqueue", Same),
    ("poll", Same),
    ("select", Same),
    ("pending_max 5", Same),
    ("tcp_nodelay", Same),
    ("no tcp_nodelay", Same),
    ("ssl_keyfile x", Better("TLS is not built in\n", NOT_BUILT)),
    ("dsr_if eth0", Alone("direct server return is not built in\n", NOT_BUILT)),
    ("emergency 127.0.0.1:9", Better("", NEW_COMMANDS)),
    ("abuse 127.0.0.1:9", Better("", NEW_COMMANDS)),
    ("client_keepalive 60", Better("60\n", NEW_COMMANDS)),
    ("half_closed_timeout", Better("0\n", NEW_COMMANDS)),
    ("conn_log", Better("", NEW_COMMANDS)),
    ("no conn_log", Same),
    ("hash_type", Better("rendezvous\n", HASH_TYPE)),
    ("hash_type modulo", Better("modulo\n", HASH_TYPE)),
    ("forget 192.0.2.7", Better("0 forgotten\n", NEW_COMMANDS)),
    (
        "forget x",
        Better("forget: bad address 'x', expected [client|server index]\n", WRONG_COMMAND),
    ),
    ("udp_balance datagram", Better("datagram\n", NEW_COMMANDS)),
    ("web", Better("", WEB)),
    ("no web", Same),
    ("web_acl 3", Better("3\n", WEB)),
    (
        "web_password /nowhere/file",
        Better(
            "/nowhere/file: cannot read the password: No such file or directory (os error 2)\n",
            WEB,
        ),
    ),
    ("web_password", Better("", WEB)),
    ("no web_password", Same),
    ("mode", Same),
    (
        "mode x",
        Better(
            "no hash no roundrobin no stubborn no weight no prio\n\
             mode: 'x' ignored, expected no argument\n",
            EXCESS,
        ),
    ),
    ("blacklist 30 # seconds", Same),
    ("hash yes", Better("hash: 'yes' ignored, expected no argument\n", EXCESS)),
    ("no hash # any more", Same),
    (
        "server 0 max 9 foo 4 hard 8",
        Better(
            "server: 'foo 4' ignored, expected index [acl list|address host|port port|max n|hard n|blacklist seconds|weight n|prio n]...\n",
            EXCESS,
        ),
    ),
    ("servers", Same),
    ("; what some write for #", Better("", EXCESS)),
    ("write", Alone("write: no file given, and pen was started without -F\n", WRONG_COMMAND)),
    (
        "write /nonexistent/pen.cfg",
        Alone(
            "/nonexistent/pen.cfg: cannot write the configuration: No such file or directory (os error 2)\n",
            WRONG_COMMAND,
        ),
    ),
    (
        "include /nonexistent",
        Better(
            "/nonexistent: cannot read the configuration: No such file or directory (os error 2)\n",
            WRONG_COMMAND,
        ),
    ),
    (
        "listen 127.0.0.1:99999",
        Alone("127.0.0.1:99999: 99999: port out of range, expected 0 to 65535\n", IMPOSSIBLE),
    ),
    (
        "log /nonexistent/log",
        Alone(
            "/nonexistent/log: cannot open the log: No such file or directory (os error 2)\n",
            IMPOSSIBLE,
        ),
    ),
];

#[test]
fn replies() {
    let Some(program) = c_program("pen") else {
        return;
    };
    let (our_place, their_place) = (Place::new(), Place::new());
    let start = |starter: Starter, place: &Place| {
        let servers = ["127.0.0.1:1001", "127.0.0.1:1002:10:20"];
        let servers = servers.map(str::to_owned);
        let starter = servers.into_iter().fold(starter, Starter::operand);
        starter.control(place.at()).start()
    };
    let ours = start(Starter::new(&our_place).ours(), &our_place);
    let theirs = start(Starter::new(&their_place).program(program), &their_place);
    for (line, reply) in LINES {
        let our_reply = ours.ask(line);
        if *line == "transparent" && !is_root() {
            // Not the same without the right.
            known(line, &TRANSPARENT);
            continue;
        }
        match reply {
            Same => {
                // The addresses that the two were given are not the same.
                let (we, they) = (our_place.ip.to_string(), their_place.ip.to_string());
                let wanted = theirs.ask(line).replace(&they, &we);
                assert_eq!(our_reply, wanted, "{line}");
                compared(line, None);
            }
            Better(wanted, difference) => {
                assert_eq!(our_reply, *wanted, "{line}");
                assert_ne!(theirs.ask(line), *wanted, "{line}: no longer different");
                compared(line, Some(difference));
            }
            Alone(wanted, difference) => {
                assert_eq!(our_reply, *wanted, "{line}");
                known(line, difference);
            }
            Still(wanted) => assert_eq!(our_reply, *wanted, "{line}"),
        }
    }
}

#[test]
fn the_status_page_is_the_c_programs() {
    let Some(program) = c_program("pen") else {
        return;
    };
    let page = |starter: Starter, place: &Place| {
        let starter = starter.operand("127.0.0.1:1001:10:20:3:4".to_owned());
        let dir = Dir::new();
        let file = dir.file("page.html");
        let starter = starter.args(["-w", file.to_str().unwrap()]);
        let pen = starter.control(place.at()).start();
        pen.ask("server 1 address 127.0.0.2 port 7");
        let page = pen.ask("status");
        // The time is that of the moment.
        let lines = page.lines().filter(|line| !line.starts_with("Time "));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let (here, there) = (Place::new(), Place::new());
    let ours = page(Starter::new(&here).ours(), &here);
    assert_eq!(ours, page(Starter::new(&there).program(program), &there));
    assert!(ours.len() > 40, "{ours:?}");
    compared("", None);
}
