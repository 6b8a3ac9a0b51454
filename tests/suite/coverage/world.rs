//! What others do with pen, what goes wrong in the C program, and their cases.

use super::Row;

/// Command lines that are in use; see [`crate::wild`].
pub(super) const WILD: &[Row] = &[
    ("pen -l pen.log -p pen.pid lbhost:80 host1:80 host2:80", &["wild::a_log_and_a_pid_file"]),
    ("pen smtp mailhost1:smtp mailhost2:25 mailhost3", &["wild::services_by_name"]),
    ("pen -p pen.pid pop3 localhost:1110 otherhost:pop3", &["wild::a_service_in_the_background"]),
    ("pen VIP:PORT -c 2049 -x 257 -S 10 -C 127.0.0.1:PORT", &["wild::servers_by_penctl"]),
    ("the same with -U -t 1 -b 3", &["wild_udp::servers_by_penctl"]),
    (
        "pen -r -W -u pen -x M -c C -F /tmp/pen-X.cfg -p X.pid -C X.ctl -U PORT, HUP",
        &["wild_udp::a_file_and_hup"],
    ),
    ("pen -F /etc/pen/upstreams.cfg -U :::80", &["wild_udp::all_of_ipv6"]),
    (
        "pen -f -u root -C 9000 -X -r -U 5683 $SERVERS, and a loop",
        &["wild_udp::a_loop_that_looks_after_servers"],
    ),
    ("pen -f -H PORT localhost:P1:1 localhost:P2:1", &["wild::http_with_one_connection_each"]),
    ("pen -df ::1:2222 127.0.0.1:22", &["wild::ipv6_in_front_of_ipv4"]),
    ("pen -df -O transparent ...", &["transparent::connections_come_from_the_client"]),
    (
        "pen -U -O \"source 192.168.1.20\" 53 192.168.1.100 192.168.1.101",
        &["wild_udp::a_name_server_with_a_source_address"],
    ),
    ("pen -d pen:5672 rabbitmq0:5672 rabbitmq1:5672", &["wild::debugging_in_the_background"]),
    (
        "exec pen -f $args, the first process of a container",
        &["wild::the_first_process_of_a_container"],
    ),
    (
        "-w /var/www/html/stats.html, penctl 127.0.0.1:1990 status > page.html",
        &["wild::a_page_from_cron"],
    ),
    ("servers and recent by word position", &["wild::replies_by_the_places_of_words"]),
    ("the status page line by line", &["side_by_side::the_page", "wild::a_page_from_cron"]),
    (
        "started again from a written file's second line",
        &["wild::started_again_from_a_written_file"],
    ),
];

/// What goes wrong in the C program, under load, by faults, or always.
pub(super) const FAULTS: &[Row] = &[
    ("no descriptors end it, or it spins", &["limits::with_few_descriptors_clients_wait"]),
    (
        "half-closed connections lose data",
        &[
            "relay::a_large_answer_comes_after_the_client_has_ended",
            "relay::a_large_upload_goes_on_after_the_server_has_ended",
        ],
    ),
    (
        "a refused connect closes the client and blacklists nothing",
        &["failover::a_refused_connect_goes_to_the_next_server"],
    ),
    (
        "who is turned away lowers the server's count",
        &["failover::who_is_turned_away_is_not_counted"],
    ),
    (
        "no acl, source, idlers, dummy without servers crash it",
        &[
            "transcript::replies: no acl",
            "transcript::replies: source",
            "transcript::replies: idlers 1001",
            "socket_kinds::the_built_in_page",
        ],
    ),
    (
        "listen or log to something impossible ends it",
        &[
            "transcript::replies: listen 127.0.0.1:99999",
            "transcript::replies: log /nonexistent/log",
        ],
    ),
    ("TERM with -ddd can hang it", &["messages::term_ends_it_whatever_it_says"]),
    ("INT leaves the pid file behind", &["background::term_and_int_end_it_cleanly"]),
    ("too many pending connects spin", &["limits::pending_connects_cost_nothing"]),
    (
        "unread data is lost when both ends close",
        &[
            "endings::an_early_answer_arrives_whole_though_the_client_still_sends",
            "endings::an_early_answer_arrives_whole_though_the_server_has_gone",
        ],
    ),
    ("a silent control client freezes everything", &["control_port::abuse_disturbs_nobody"]),
    ("name look-ups freeze everything", &["names::a_look_up_holds_up_nobody"]),
    ("empty UDP datagrams end a flow", &["udp::empty_datagrams_go_through_and_end_nothing"]),
    (
        "UDP servers that refuse are never blacklisted",
        &["udp_failover::a_refused_datagram_goes_to_the_next_server"],
    ),
    ("UDP byte counts stay 0", &["udp::bytes_are_counted"]),
    (
        "idle timeouts longer than the table never fire",
        &["idle_time::few_slots_are_no_reason_to_wait"],
    ),
    (
        "half-closed connections never time out",
        &["idle_time::a_half_closed_connection_ends_after_the_idle_time"],
    ),
    ("one bad packet crashes penlogd", &["logs::odd_datagrams_harm_nothing"]),
    (
        "penlogd never matches requests of 100 bytes",
        &["logs::together::every_line_has_the_client_who_asked"],
    ),
    ("mergelogs drops lines over 1,023 bytes", &["mergelogs::differences::long_lines_stay_whole"]),
    ("mergelogs never matches long requests", &["mergelogs::differences::long_requests_match"]),
    ("penctl tries one address only", &["names::each_address_of_a_control_port_is_tried"]),
];
