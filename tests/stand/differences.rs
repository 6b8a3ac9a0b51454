//! Where ours is not the same as the C pen: the rows of the README's table,
//! which `make compat` writes. Each is named by a test at least; `make compat`
//! says which is not.

/// A difference, in the words of the README.
pub(crate) struct Difference {
    pub(crate) what: &'static str,
    pub(crate) c_pen: &'static str,
    #[allow(dead_code)] // in the suite, which only says what the C program does
    pub(crate) ours: &'static str,
}

macro_rules! differences {
    ($($name:ident: $what:literal, $c_pen:literal, $ours:literal;)*) => {
        $(
            pub(crate) const $name: Difference = Difference {
                what: $what,
                c_pen: $c_pen,
                ours: $ours,
            };
        )*

        /// All of them, in the order of the README.
        #[allow(dead_code)] // in the suite, which has no use for the list
        pub(crate) const ALL: &[Difference] = &[$($name),*];
    };
}

differences! {
    // The start.
    WRONG_WORD:
        "wrong option, number, host, port; `-x 0`, `-e ''`",
        "taken as 0 or ignored, or the usage text with status 0",
        "named on standard error, status 1";
    FAILED_START:
        "failure at the start, in the background",
        "lost",
        "said before the parent leaves, status 1";
    PARENT:
        "parent in the background",
        "leaves before pen listens",
        "leaves when pen listens and the pid file is written";
    MISSING_FILE:
        "`-F` with a file that cannot be read",
        "a message",
        "fatal, unless it is in the jail (`-j`)";
    FEW_FILES:
        "`ulimit -n` below 17",
        "works from 8",
        "clients wait, or the start fails and says so";
    LONG_OPTIONS:
        "`--check`, `--help`, `--version`",
        "none",
        "there";
    CHATTER:
        "messages at the start",
        "about missing GeoIP files, tables in memory, and more",
        "that it is starting";
    REPEATED:
        "`-c`, `-x` more than once",
        "the largest",
        "the last";
    NUMERIC_USER:
        "`-u` with a number",
        "no such user",
        "taken";
    GROUPS:
        "supplementary groups with `-u`",
        "the caller's stay",
        "the user's";
    JAIL_DIRECTORY:
        "working directory with `-j`",
        "outside of the jail",
        "its root";
    LISTEN_PATH:
        "path to listen on",
        "any file is removed; the socket stays at the end",
        "only a socket is; it goes with pen";
    PLANTED:
        "links, pipes, files of others where pid file, log, report or configuration go",
        "followed, waited for, written to",
        "refused or replaced, in directories that others can write to";
    UMASK:
        "pid file, log and configuration with umask 0",
        "everybody can write to them",
        "the owner alone can";
    LOG_MODE:
        "logs that are made (`-l`)",
        "everybody can read them",
        "owner and group can";
    OTHER_PID_FILE:
        "pid file that another pen has written over",
        "removed at the end",
        "stays";
    DEVICE:
        "`-p` with a device",
        "removed at the end",
        "stays";
    INT:
        "INT",
        "pid file stays",
        "like TERM";

    // Servers and clients.
    WORK:
        "work",
        "one process, one thread",
        "two threads a connection, all processors";
    REFUSED_CONNECT:
        "refused connect",
        "closes the client",
        "server blacklisted, next one tried";
    UNIX_QUEUE:
        "Unix-socket server whose queue is full",
        "closes the client",
        "waited for, as long as a connect may take";
    ADDRESSES:
        "a name with several addresses",
        "first one",
        "tried in order";
    TURNED_AWAY:
        "client that finds all servers full",
        "lowers the count of one",
        "counts nowhere";
    BURST:
        "`max`",
        "passed by a burst",
        "connections being made count";
    NEVER_REMEMBER:
        "`-N`",
        "broken",
        "hash, never remember";
    NO_WEIGHTS:
        "`-W` without weights",
        "closes every connection",
        "fewest connections";
    EXPIRY:
        "`-T`",
        "the table alone",
        "a client that comes back late is a new one";
    EMPTY_SLOT:
        "server at address or port 0",
        "closes clients, or connects to this host",
        "an empty slot";
    OWN_ADDRESS:
        "a server that is pen's own listening address",
        "connects to itself until `-x` is reached",
        "refused at the start and by commands, passed over if it becomes one";
    SELF_CONNECT:
        "a dead server on this host whose port the kernel gives to the connection itself",
        "the client hears itself",
        "refused";
    UDP_PORT:
        "port of `-U`",
        "any local user can take it, and its datagrams",
        "shared with the same user alone";
    OWN_PORTS:
        "`source` with two servers, twelve ports",
        "12 connections, then none for a minute",
        "24, and again";
    HASH_TYPE:
        "`-h`",
        "address modulo servers: of two or four, the first octet decides",
        "even, and few clients move (`hash_type`; `modulo` is the C program's)";
    DISPLACED:
        "clients of a blacklisted server",
        "go to the next one in the table",
        "are shared by all others";
    WEIGHT_TIES:
        "`-W`, servers with equal load",
        "the first",
        "in turn";
    HASH_V6:
        "hash of an IPv6 address",
        "last byte",
        "all 16 bytes";
    MAPPED:
        "`::ffff:192.0.2.7`",
        "another client than 192.0.2.7",
        "the same";
    UNIX_CLIENTS:
        "clients of a Unix socket in `recent`",
        "an address made of the path",
        "`unix`";
    SOURCE:
        "`source` with an address of another host",
        "ignored",
        "no connection, and said so";
    ACL_MASKS:
        "access list masks",
        "on one side",
        "on both, `192.0.2.0/24` as well";
    ACL_TWICE:
        "access list entries on HUP",
        "pile up",
        "added once";
    DENIED:
        "denied client without abuse server",
        "may get the emergency server",
        "closed";
    ABUSE_DENIED:
        "denied client, access list 0",
        "abuse server denies it too",
        "gets the abuse server";

    // Bytes.
    HALF_CLOSED:
        "half-closed connections",
        "may lose data; `idle_timeout` passes them by",
        "whole; they time out like others";
    CONTROL_GROUP:
        "`-x` in a container with too little memory",
        "nothing is said",
        "a warning at the start";
    LIVE_HTTP:
        "`http` and `dummy` while a connection is open",
        "change it at its next read, even in the middle of a body",
        "count for new connections";
    RESET:
        "reset by a client or a server",
        "the other side sees a good end, so that a part looks like the whole",
        "the other side gets a reset";
    GONE:
        "client that has gone while its server is silent",
        "keeps its place for as long as the server is silent",
        "gives it back when its host says so (keep-alive); see also `half_closed_timeout`";
    CLIENT_KEEPALIVE:
        "host that vanishes",
        "is noticed after the system's time (Linux: 2 hours)",
        "after 3 minutes: `client_keepalive`";
    DESCRIPTORS:
        "out of descriptors",
        "ends, or spins",
        "clients wait";
    IDLE_TABLE:
        "`idle_timeout` above `-x`",
        "never",
        "works";
    PENDING:
        "more than 100 pending connects",
        "take a processor",
        "wait";
    NODELAY:
        "`tcp_nodelay`",
        "off",
        "on";
    HTTP:
        "`-H`",
        "GET, POST and HEAD, one read at a time",
        "every request of a connection, in pieces or not; pen's X-Forwarded-For comes last, whatever the client sent";
    DUMMY:
        "`dummy` without servers",
        "a crash",
        "the page";

    // Control.
    SHARED_CONTROL:
        "two pens with the same `-C`",
        "answer in turn",
        "the second does not start";
    WRONG_COMMAND:
        "wrong control command",
        "silent, 0, or a crash",
        "a one-line reply, nothing changes";
    EXCESS:
        "words that a command has no use for",
        "ignored",
        "ignored, and said so; `; ...` is a comment as `# ...` is";
    SIZES:
        "`-x` and `-c` against `conn_max`, `clients_max` of `-F`",
        "the larger counts",
        "the option counts, as do `-e` and `-B`";
    RELOAD:
        "HUP, `include`, `server` with several changes",
        "line by line, amid traffic",
        "in one step; with an error nothing changes";
    BYTE_ORDER_MARK:
        "byte order mark before a configuration",
        "its line is lost",
        "passed over";
    HOSTILE_FILES:
        "`include` of pipes, or without end",
        "stops all traffic, or crashes",
        "refused: regular files alone, 16 deep, 16 MiB";
    BAD_LINE:
        "wrong line in the configuration",
        "silent, 0, or a crash",
        "file and line are named; fatal at the start";
    IMPOSSIBLE:
        "`listen`, `log` to something impossible",
        "ends the program",
        "a reply, the old one stays";
    PIECES:
        "control command in pieces, or above 4,095 bytes",
        "the first piece is taken for all; reset",
        "read to its end; a reply that says so";
    SILENT_CLIENT:
        "silent control client",
        "stops all traffic",
        "has 5 seconds, disturbs nobody";
    CONTROL_MODE:
        "control socket",
        "mode from the umask",
        "mode 0600";
    NEW_COMMANDS:
        "`help`, `abuse`, `client_keepalive`, `conn_log`, `emergency`, `forget`, `half_closed_timeout`, `try`, `udp_balance`",
        "none",
        "there";
    WEB:
        "web interface",
        "none",
        "a live page with control, `status.json`, metrics, a health check";
    OLD_COMMANDS:
        "`block`, `delayed_forward`",
        "only after `no`",
        "accepted, without effect";
    LOOKUP:
        "name look-up",
        "stops all traffic",
        "disturbs nobody";
    IDLERS:
        "`idlers`",
        "a crash, or never made again",
        "kept";
    WRITE:
        "`write`",
        "in place",
        "a new file takes the name; more is saved";
    STATUS:
        "`status` without `-w`",
        "an error",
        "the report";
    ESCAPED:
        "control characters in replies (`penctl`: on a terminal), markup in the report",
        "as they are",
        "escaped";
    OUTCOMES:
        "clients denied, dropped, sent to a second server",
        "not counted",
        "counted, in `status.json`, metrics and with USR1";
    USR1:
        "USR1 without `-w`",
        "clients come out as garbage",
        "servers, clients, connections";

    // Logs.
    CONTROL_CHARACTERS:
        "control characters in requests",
        "go into the log",
        "dots";
    LOG_PIPE:
        "a pipe that nobody reads as the log, on HUP",
        "everything waits for a reader",
        "an error, the old log stays";
    LOG_BUFFER:
        "lines of the request log",
        "wait for a full buffer, HUP or the end",
        "written at once, the last ones before the end";

    CONN_LOG:
        "`conn_log`",
        "none",
        "a line for each connection at its end: bytes, seconds, how it ended";
    SYSLOG:
        "messages in the system log",
        "facility user, priority debug",
        "facility daemon, priority by what they say, with the process number";
    JOURNAL:
        "messages with `-f` under systemd",
        "no priority, a second time stamp",
        "with a priority, without the time";
    UNREAD:
        "messages that nobody reads",
        "stop all traffic",
        "are dropped and counted";
    DEBUG_TERM:
        "TERM with `-ddd`",
        "may hang it",
        "ends it";

    // UDP.
    UDP_MANY:
        "`-U`: many new clients at once",
        "answers get lost or reach another client",
        "each flow has a connected socket";
    UDP_REFUSED:
        "`-U`: server that refuses (ICMP)",
        "not noticed, datagram lost",
        "blacklisted, the datagram goes to the next";
    UDP_TAKEN_AWAY:
        "`-U`: server that is blacklisted or deleted",
        "keeps its flows",
        "loses them to another";
    UDP_KINDS:
        "`-U`: IPv6, Unix sockets, `source`, empty or long datagrams, byte counts",
        "no, or broken",
        "there";
    UDP_USER:
        "`-U` with `-u`",
        "nothing goes through",
        "works";
    UDP_WILDCARD:
        "`-U`: reply from a wildcard address",
        "whatever the system chooses",
        "from where the client sent to";
    UDP_IDLE:
        "`-U`: idle flows",
        "stay",
        "end after 60 s or `idle_timeout`; the longest idle makes room at `-x`";
    UDP_LOG:
        "`-U`: request log",
        "lacks the first datagram of a flow",
        "has a line for each";
    UDP_BALANCE:
        "`udp_balance`",
        "none",
        "each datagram on its own with `-r`";
    TRANSPARENT:
        "`transparent` without the right",
        "every connection fails",
        "refused, fatal at the start";

    // The companions.
    PENLOGD_LONG:
        "`penlogd`: requests of 100 bytes or more",
        "never match",
        "match";
    PENLOGD_PREFIX:
        "`penlogd`: `GET /`",
        "matches whatever begins so",
        "equal, or cut by pen";
    PENLOGD_V6:
        "`penlogd`: IPv6, `host:port`",
        "no",
        "yes";
    PENLOGD_RING:
        "`penlogd -n`",
        "one request less is known",
        "so many are";
    PENLOGD_OUTPUT:
        "`penlogd` without `-l`",
        "lines wait for a full buffer",
        "written at once; it ends when nobody reads them";
    PENLOGD_ODD:
        "`penlogd`: malformed datagrams",
        "a crash",
        "harmless";
    OTHERS_LINES:
        "`penlogd`, `mergelogs`: control characters in others' lines",
        "as they are",
        "dots, but for tabs";
    PENLOGD_START:
        "`penlogd`: failure at the start",
        "status 0",
        "status 1, before the parent leaves";
    PENLOG_LINES:
        "`penlog`: lines",
        "cut at 1,023 bytes and at a NUL",
        "whole up to 8,191 bytes";
    PENLOGD_LINE:
        "`penlogd`: log line without a request",
        "dropped",
        "written as it is";
    COMPANIONS:
        "`penlog`, `penctl`: a name with several addresses",
        "first one",
        "tried in order";
    PENCTL_STATUS:
        "`penctl -e`",
        "none",
        "the status says whether the command was refused";
    MERGELOGS_LONG:
        "`mergelogs`: long lines and requests",
        "dropped, never match",
        "any length, match";
    MERGELOGS_ZONE:
        "`mergelogs`: host's time zone",
        "lines may be an hour off",
        "honoured, summer time too";

    MERGELOGS_ESCAPED:
        "`mergelogs`: quotes, accents, control characters in requests",
        "never match",
        "match";
    MERGELOGS_BAD:
        "`mergelogs`: lines that cannot be read",
        "dropped",
        "passed on";
    MERGELOGS_V6:
        "`mergelogs`: server with an IPv6 address",
        "cut at the first colon",
        "whole";
    MERGELOGS_WINDOW:
        "`mergelogs`: entry beyond the window",
        "found; hides those behind it",
        "neither";
    MERGELOGS_STDIN:
        "`mergelogs`: `-` for a file",
        "none",
        "standard input";
    MERGELOGS_DEBUG:
        "`mergelogs -d`",
        "says nothing",
        "says what was read and found";
    MERGELOGS_PIPE:
        "`mergelogs`: output that nobody reads any more",
        "ended by a signal",
        "ends well";
    MERGELOGS_CR:
        "`mergelogs`: CR LF in pen's log",
        "never matches",
        "matches";

    // What is not there, and what is new.
    NOT_BUILT:
        "TLS, GeoIP, direct server return, tarpit",
        "can be built in",
        "not there, and said so";
}
