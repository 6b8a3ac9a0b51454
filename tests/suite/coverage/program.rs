//! Options, commands, signals, file formats, and their cases.

use super::Row;

pub(super) const OPTIONS: &[Row] = &[
    ("-B", &["failover::denied_clients_go_to_the_abuse_server"]),
    (
        "-C",
        &["control_port::a_list_keeps_clients_out", "control_port::root_without_a_user_gets_none"],
    ),
    ("-F", &["configuration::a_file_sets_what_options_do_not"]),
    (
        "-H",
        &["http_header::a_request_in_one_piece", "http_header::requests_of_any_kind_in_any_pieces"],
    ),
    ("-N", &["tracking::n_hashes_and_never_remembers"]),
    ("-O", &["command_line::commands_act_where_they_stand"]),
    ("-P", &["command_line::options_without_effect_are_taken_in_silence"]),
    (
        "-T",
        &[
            "tracking::an_expired_client_is_a_new_one",
            "tracking::without_expiry_a_client_is_known_for_ever",
        ],
    ),
    ("-U", &["udp::answers_come_back", "udp::a_flow_keeps_its_server"]),
    (
        "-W",
        &[
            "choice::weight_shares_connections",
            "choice::weight_without_weights_is_least_connections",
        ],
    ),
    ("-X", &["control_port::exit_ends_pen_if_it_may", "transcript::replies: exit"]),
    ("-a", &["messages::with_a_they_are_text"]),
    ("-b", &["failover::a_blacklisted_server_is_used_again_after_its_time"]),
    ("-c", &["tracking::a_full_table_forgets_who_was_away_longest"]),
    ("-d", &["messages::ddd_shows_bytes_in_hex", "wild::debugging_in_the_background"]),
    (
        "-e",
        &["failover::full_everywhere_is_an_emergency", "failover::the_emergency_server_comes_last"],
    ),
    ("-f", &["background::exit_statuses_in_the_foreground"]),
    (
        "-h",
        &[
            "spread::a_hash_spreads_evenly_and_moves_the_clients_of_one_server_alone",
            "choice::hash_by_address",
            "choice::hash_and_round_robin_by_address_and_port",
        ],
    ),
    ("-i", &["command_line::help_version_and_windows"]),
    ("-j", &["users::it_runs_in_the_jail", "users::jail_and_user_together"]),
    (
        "-l",
        &["log_file::a_line_has_client_time_server_and_request", "log_file::over_udp_to_penlogd"],
    ),
    ("-m", &["command_line::low_numbers_are_raised_with_a_note"]),
    ("-o", &["command_line::commands_act_where_they_stand"]),
    (
        "-p",
        &[
            "background::a_stale_pid_file_is_written_over",
            "background::term_and_int_end_it_cleanly",
        ],
    ),
    ("-q", &["command_line::low_numbers_are_raised_with_a_note"]),
    ("-r", &["choice::round_robin_for_one_client"]),
    ("-s", &["failover::stubborn_means_no_fail_over"]),
    ("-t", &["failover::a_silent_server_is_given_up_after_the_timeout"]),
    ("-u", &["users::it_becomes_the_user", "users::a_user_can_be_a_number"]),
    ("-w", &["reports::usr1_writes_the_page", "wild::a_page_from_cron"]),
    ("-x", &["capacity::at_the_cap_clients_wait_for_their_turn"]),
    ("-D", &["command_line::obsolete_options_are_noted_and_ignored"]),
    ("-n", &["command_line::obsolete_options_are_noted_and_ignored"]),
    ("-Q", &["command_line::obsolete_options_are_noted_and_ignored"]),
    ("-S", &["command_line::obsolete_options_are_noted_and_ignored"]),
    ("-A", &["malformed::tls_is_not_built_in"]),
    ("-E", &["malformed::tls_is_not_built_in"]),
    ("-G", &["malformed::tls_is_not_built_in"]),
    ("-K", &["malformed::tls_is_not_built_in"]),
    ("-L", &["malformed::tls_is_not_built_in"]),
    ("-R", &["malformed::tls_is_not_built_in"]),
    ("-Z", &["malformed::tls_is_not_built_in"]),
    ("--check", &["command_line::check_opens_nothing", "command_line::check_tells_what_is_wrong"]),
    ("--no-batch", &["command_line::options_without_effect_are_taken_in_silence"]),
    ("--web", &["web::it_is_off_until_asked_for", "web::everything_is_served"]),
    ("--help", &["command_line::help_version_and_windows"]),
    ("--version", &["command_line::help_version_and_windows"]),
];

/// Commands of which more is to be seen than their reply, which is in the
/// transcript, and those whose reply cannot be there.
pub(super) const COMMANDS: &[Row] = &[
    ("abuse", &["configuration::what_is_written_restores_everything"]),
    (
        "acl",
        &["failover::a_mask_counts_on_both_sides", "failover::an_access_list_tells_clients_apart"],
    ),
    ("ascii", &["messages::with_a_they_are_text"]),
    ("blacklist", &["wild::started_again_from_a_written_file"]),
    ("client_acl", &["failover::denied_clients_go_to_the_abuse_server"]),
    ("client_keepalive", &["vanished::a_client_that_vanishes_gives_its_place_back"]),
    ("clients_max", &["tracking::the_table_can_be_made_larger"]),
    ("close", &["live_changes::close_ends_a_connection"]),
    ("conn_log", &["conn_log::every_end_has_its_word"]),
    ("conn_max", &["capacity::the_cap_can_be_raised"]),
    ("connection", &["side_by_side::connection"]),
    ("control_acl", &["control_port::a_list_keeps_clients_out"]),
    ("dummy", &["socket_kinds::the_built_in_page"]),
    ("emergency", &["configuration::what_is_written_restores_everything"]),
    ("exit", &["control_port::exit_ends_pen_if_it_may"]),
    ("forget", &["spread::displaced_clients_do_not_pile_up_and_can_be_forgotten"]),
    ("hash_type", &["spread::modulo_is_the_c_programs_hash"]),
    ("half_closed_timeout", &["idle_time::a_half_closed_connection_has_a_time_of_its_own"]),
    ("help", &["control_port::help_lists_every_command"]),
    ("http", &["http_header::a_request_in_one_piece"]),
    ("idle_timeout", &["idle_time::a_quiet_connection_ends_after_the_idle_time"]),
    ("idlers", &["live_changes::idlers_are_kept_and_let_go", "live_changes::idlers_come_back"]),
    ("include", &["configuration::a_file_includes_another"]),
    ("keepalive", &["vanished::clients_are_always_watched_and_servers_on_order"]),
    (
        "listen",
        &["live_changes::a_move_keeps_connections_and_those_who_queue", "udp_sockets::a_move"],
    ),
    ("log", &["configuration::what_is_written_restores_everything"]),
    ("pid", &["penctl::a_path_is_a_unix_socket"]),
    ("prio", &["choice::prio_takes_the_lowest"]),
    ("recent", &["reports::recent_knows_who_came_when", "side_by_side::recent"]),
    (
        "server",
        &[
            "live_changes::servers_come_and_go",
            "failover::a_servers_own_access_list_sends_clients_on",
        ],
    ),
    ("servers", &["side_by_side::servers"]),
    ("socket", &["reports::a_socket_belongs_to_its_connection"]),
    ("source", &["socket_kinds::servers_see_the_source_address"]),
    ("status", &["transcript::the_status_page_is_the_c_programs", "side_by_side::the_page"]),
    (
        "tcp_fastclose",
        &["endings::fastclose_lets_one_side_end_both", "endings::fastclose_flushes_first"],
    ),
    ("tcp_nodelay", &["relay::small_pieces_are_not_held_back"]),
    ("timeout", &["failover::a_silent_server_is_given_up_after_the_timeout"]),
    ("tracking", &["tracking::an_expired_client_is_a_new_one"]),
    (
        "transparent",
        &[
            "transparent::connections_come_from_the_client",
            "transparent::datagrams_come_from_the_client",
        ],
    ),
    (
        "try",
        &[
            "control_port::whether_a_command_was_refused_can_be_asked",
            "penctl::its_status_says_whether_a_command_was_refused",
        ],
    ),
    ("udp_balance", &["udp_choice::one_source_port_and_two_servers_of_a_log"]),
    (
        "web",
        &["web::it_opens_moves_and_closes", "web_sockets::a_unix_socket_is_for_its_user_alone"],
    ),
    ("web_acl", &["web::a_list_keeps_clients_out"]),
    (
        "web_password",
        &[
            "web_control::an_action_works_with_the_password",
            "web_control::what_is_refused",
            "web_control::a_password_that_is_taken_away",
        ],
    ),
    ("web_stats", &["configuration::what_is_written_restores_everything"]),
    ("weight", &["choice::weight_shares_connections"]),
    (
        "write",
        &["side_by_side::a_written_file", "configuration::what_is_written_restores_everything"],
    ),
];

pub(super) const SIGNALS: &[Row] = &[
    ("HUP: the log", &["log_file::hup_opens_the_log_again"]),
    ("HUP: the configuration", &["reload::a_file_with_an_error_changes_nothing"]),
    ("USR1 with -w", &["reports::usr1_writes_the_page"]),
    ("USR1 without", &["reports::usr1_says_who_is_there"]),
    (
        "TERM",
        &["background::term_and_int_end_it_cleanly", "background::exit_statuses_in_the_foreground"],
    ),
    (
        "INT",
        &[
            "background::term_and_int_end_it_cleanly",
            "background::signals_that_the_starter_ignored_work",
        ],
    ),
    ("PIPE", &["background::other_signals_do_not_end_it"]),
    ("penlogd: HUP, TERM, INT", &["logs::in_the_background"]),
];

pub(super) const FORMATS: &[Row] = &[
    ("pid file", &["background::a_stale_pid_file_is_written_over"]),
    ("request log", &["log_file::a_line_has_client_time_server_and_request"]),
    ("request log over UDP", &["log_file::over_udp_to_penlogd"]),
    ("configuration", &["configuration::a_file_sets_what_options_do_not"]),
    ("written file", &["side_by_side::a_written_file"]),
    ("HTML report", &["transcript::the_status_page_is_the_c_programs", "side_by_side::the_page"]),
    ("status.json", &["web::everything_is_served", "web::states_of_servers"]),
    ("metrics", &["web::metrics_are_read_by_the_reference_parser"]),
    ("text report", &["reports::usr1_says_who_is_there"]),
    ("messages in the foreground", &["messages::they_have_the_local_time"]),
    ("messages in the system log", &["messages::in_the_background_they_go_to_the_system_log"]),
    ("penlog's datagrams", &["logs::penlog_sends_each_line_as_a_datagram"]),
    ("penlogd's log", &["logs::the_newest_request_counts", "logs::a_line_without_a_request_stays"]),
    (
        "mergelogs' output",
        &["mergelogs::two_servers_as_the_oracle", "mergelogs::three_servers_as_the_oracle"],
    ),
];
