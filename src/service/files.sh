#!/bin/sh
# Says which files belong to pen on a system: "make install" and "make uninstall"
# ask it. Each line is a mode, a file of the sources and its place, with | between.
#
#     src/service/files.sh [systemd|freebsd|openbsd|openwrt]
#
# The word is for service files. The environment says where the rest goes.

set -eu
cd "$(dirname "$0")/../.."

for program in pen penctl penlog penlogd mergelogs; do
    echo "755|$FROM/$program|$BINDIR/$program"
    echo "644|src/service/pen.bash|$BASHDIR/$program"
done
for page in pen.1 src/man/*.[1-8]; do
    echo "644|$page|$MANDIR/man${page##*.}/${page##*/}"
done
echo "644|src/service/_pen|$ZSHDIR/_pen"

case ${1-} in
    '') ;;
    systemd)
        for unit in pen.service pen@.service; do
            echo "644|src/service/$unit|$PREFIX/lib/systemd/system/$unit"
        done
        echo "644|src/service/logrotate.conf|/etc/logrotate.d/pen"
        ;;
    freebsd)
        echo "555|src/service/freebsd.rc|$PREFIX/etc/rc.d/pen"
        echo "644|src/service/newsyslog.conf|$PREFIX/etc/newsyslog.conf.d/pen.conf"
        ;;
    openbsd) echo "555|src/service/openbsd.rc|/etc/rc.d/pen" ;;
    openwrt)
        echo "755|src/service/openwrt.init|/etc/init.d/pen"
        echo "600|src/service/openwrt.config|/etc/config/pen"
        ;;
    *)
        echo "SERVICE=$1: not one of systemd freebsd openbsd openwrt" >&2
        exit 1
        ;;
esac
