# Completes the words of pen, penctl, penlog, penlogd and mergelogs in bash. Goes to
# /usr/share/bash-completion/completions/pen, with links of the other names.
#
# The words come from the programs themselves: from --help, and from the command help.

_pen() {
    local word=$2 before=$3 value='' commands=''
    COMPREPLY=()
    case ${1##*/}:$COMP_CWORD:$before in
        penctl:2:* | penctl:3:no) commands=yes ;;
        *:-?*) # its value, if it has one
            value=$("$1" --help 2>/dev/null | sed -n "s/^ *$before \([^ ]*\).*/\1/p")
            ;;
    esac
    case $value:$word in
        command:*) commands=yes ;;
        dir:*) mapfile -t COMPREPLY < <(compgen -d -- "$word") ;;
        user:*) mapfile -t COMPREPLY < <(compgen -u -- "$word") ;;
        :-*)
            mapfile -t COMPREPLY < <(compgen -W "$("$1" --help 2>/dev/null |
                sed -n 's/^ *\(-[A-Za-z]\) .*/\1/p; s/^ *\(--[a-z-]*\) .*/\1/p')" -- "$word")
            ;;
    esac
    if [[ $commands ]]; then
        # pen's own are the same as those of one that runs, which may be out of reach.
        commands=$("${1%ctl}" -O help 2>/dev/null | sed -n 's/^\[no\] //; s/^\([a-z0-9_]*\) .*/\1/p')
        mapfile -t COMPREPLY < <(compgen -W "no $commands" -- "$word")
    fi
}

# Where it has nothing to say, names of files are completed.
complete -o default -F _pen pen penctl penlog penlogd mergelogs
