#!/bin/sh
# Checks the service files of src/service, as far as the tools for it are here.

set -eu
cd "$(dirname "$0")/../src/service"

for script in freebsd.rc openbsd.rc openwrt.init; do
    sh -n $script
done
echo "src/service: the scripts can be read"

if ! command -v systemd-analyze >/dev/null; then
    echo "skipped: pen.service, as systemd-analyze is not installed"
    exit
fi
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
# The program need not be installed here.
sed 's|^ExecStart=[^ ]*|ExecStart=/bin/sh|' pen.service >"$copy/pen.service"
# A warning is written, but makes no difference to the status.
if ! said=$(systemd-analyze verify --man=no --recursive-errors=no "$copy/pen.service" 2>&1) ||
    [ -n "$said" ]; then
    printf '%s\n' "$said"
    exit 1
fi
# 0 is a service that can do nothing, 10 one without limits.
if ! said=$(systemd-analyze security --offline=true --threshold=20 "$copy/pen.service"); then
    printf '%s\n' "$said"
    exit 1
fi
echo "pen.service: no warning, and an exposure of less than 2 in 10 (systemd-analyze security)"
