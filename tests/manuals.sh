#!/bin/sh
# Checks these manual pages with mandoc and groff, as far as they are here: no
# warning, no line of more than 80 columns. A reference to a page of pen must name one
# of these pages.

set -eu

fail() {
    printf '%s\n' "$@"
    exit 1
}

for page in "$@"; do
    names=$(sed -n 's/^\.\(.* \)*Xr \([^ ]*\) \([1-9]\).*/\2.\3/p' "$page")
    for name in $names; do
        case "$name in $* " in
        *[\ /]"${name}"\ *) ;;
        pen* | mergelogs*) fail "$page: there is no page $name" ;;
        esac
    done
done

# What mandoc and groff say about a page, and the page as plain text.
mandoc_says() {
    # It knows only the manuals that are installed.
    mandoc -T lint "$1" 2>&1 | grep -v 'referenced manual not found\|outdated mandoc.db' || true
}
mandoc_shows() {
    mandoc -T ascii "$1" | sed "s/.$(printf '\b')//g"
}
groff_says() {
    { groff -mdoc -ww -T ascii "$1" >/dev/null; } 2>&1
}
groff_shows() {
    groff -mdoc -T ascii -P -cbou "$1"
}

for program in mandoc groff; do
    if ! command -v $program >/dev/null; then
        echo "skipped: manual pages, as $program is not installed"
        continue
    fi
    for page in "$@"; do
        said=$(${program}_says "$page")
        [ -z "$said" ] || fail "$page: $program says" "$said"
        wide=$(${program}_shows "$page" | awk 'length > 80')
        [ -z "$wide" ] || fail "$page: wider than 80 columns ($program)" "$wide"
    done
    echo "$program: no warning, and 80 columns: $*"
done
