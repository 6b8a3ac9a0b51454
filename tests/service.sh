#!/bin/sh
# Checks the service files of src/service, as far as the tools for it are here.

set -eu
cd "$(dirname "$0")/../src/service"
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT

# Fails if a script's output is not what is wanted.
same() {
    if [ "$2" != "$3" ]; then
        printf '%s, and wanted is\n%s\nbut it says\n%s\n' "$1" "$3" "$2"
        exit 1
    fi
}

for script in freebsd.rc openbsd.rc openwrt.init; do
    sh -n $script
done

# What stands for FreeBSD's /etc/rc.subr.
cat >"$copy/rc.subr" <<'EOF'
load_rc_config() {
    pen_profiles="web mail" pen_runas=www
    pen_web_port=80 pen_web_servers="web1 web2" pen_web_flags=-r
    pen_mail_port=25 pen_mail_servers=mx1 pen_mail_runas=mail
}
run_rc_command() { echo "$1: $pen_flags $command_args; $start_precmd"; }
EOF
sed "s|/etc/rc.subr|$copy/rc.subr|" freebsd.rc >"$copy/freebsd.rc"
chmod +x "$copy/freebsd.rc"
web="start: -r -u www -p /var/run/pen-web/pid 80 web1 web2; install -d -o www /var/run/pen-web"
mail="start:  -u mail -p /var/run/pen-mail/pid 25 mx1; install -d -o mail /var/run/pen-mail"
same "freebsd.rc start web" "$("$copy/freebsd.rc" start web)" "$web"
same "freebsd.rc start" "$("$copy/freebsd.rc" start)" "$web
$mail"
if "$copy/freebsd.rc" start other 2>/dev/null; then
    echo "freebsd.rc starts a profile that is not there"
    exit 1
fi

# What stands for OpenWrt's functions: a line of the file is a call of one of these.
cat >"$copy/openwrt" <<'EOF'
config_foreach() { for section in web mail; do "$1" "$section"; done; }
config_get_bool() { config_get "$@"; }
config_get() { eval "$1=\$(sed -n \"/^config pen '$2'/,/^config/s/.*option $3 '\(.*\)'/\1/p\" $config)"; }
config_list_foreach() {
    for value in $(sed -n "/^config pen '$1'/,/^config/s/.*list $2 '\(.*\)'/\1/p" $config); do
        "$3" "$value"
    done
}
config_load() { :; }
procd_open_instance() { printf '%s:' "$1"; }
procd_set_param() { test "$1" != command || procd_append_param "$@"; }
procd_append_param() { shift && printf ' %s' "$@"; }
procd_close_instance() { echo; }
EOF
for section in web mail; do
    sed "s/^config pen .*/config pen '$section'/; s/enabled '0'/enabled '1'/" openwrt.config
done >"$copy/config"
# shellcheck disable=SC1091,SC2034 # functions, made above, and what they read
same "openwrt.init" \
    "$(config=$copy/config && . "$copy/openwrt" && . ./openwrt.init && start_service)" \
    "web: /usr/bin/pen -f -u nobody 80 192.168.1.11 192.168.1.12
mail: /usr/bin/pen -f -u nobody 80 192.168.1.11 192.168.1.12"
echo "src/service: the scripts start what their settings say"

if command -v logrotate >/dev/null; then
    cp logrotate.conf "$copy/logrotate" && chmod 644 "$copy/logrotate"
    if ! said=$(logrotate -d "$copy/logrotate" 2>&1) || [ "${said#*error:}" != "$said" ]; then
        printf '%s\n' "$said"
        exit 1
    fi
    echo "logrotate.conf: no error"
else
    echo "skipped: logrotate.conf, as logrotate is not installed"
fi

if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: pen.service, as systemd-analyze is not installed"
    exit
fi
# What limits a service has to be the same in both.
limits() { sed -n '/^Type/p; /^ExecStart/,$p' "$1" | grep -v 'Directory='; }
limits pen.service >"$copy/limits"
if ! limits pen@.service | diff "$copy/limits" -; then
    echo "pen.service and pen@.service differ"
    exit 1
fi
for unit in pen.service pen@.service; do
    # The program need not be installed here.
    sed 's|^ExecStart=[^ ]*|ExecStart=/bin/sh|' $unit >"$copy/$unit"
    # A warning is written, but makes no difference to the status.
    if ! said=$(systemd-analyze verify --man=no --recursive-errors=no "$copy/$unit" 2>&1) ||
        [ -n "$said" ]; then
        printf '%s\n' "$said"
        exit 1
    fi
    # 0 is a service that can do nothing, 10 one without limits.
    if ! said=$(systemd-analyze security --offline=true --threshold=20 "$copy/$unit"); then
        printf '%s\n' "$said"
        exit 1
    fi
    echo "$unit: no warning, and an exposure of less than 2 in 10 (systemd-analyze security)"
done
