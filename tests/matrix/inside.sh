#!/bin/sh
# The agent's actions inside a container; prints one line of JSON: the errno of each, or null.

sql() { # DATABASE SQL [OPTION]: a failure of SQLite is traced to the call that it comes from, as in carry_out.py
    if ! refused=$( (: <"$1") 2>&1); then # first: sqlite3 makes what is not there
        say "$refused"
    elif complaint=$(sqlite3 ${3:+"$3"} -batch -bail "$1" "$2" 2>&1 >/dev/null); then
        echo null
    elif [ -z "$3" ] && ! refused=$( (: >>"$1") 2>&1); then
        say "$refused"
    elif [ -z "$3" ] && ! refused=$( (: >"$1-probe" && rm "$1-probe") 2>&1); then
        say "$refused"
    else
        say "SQLite: $complaint"
    fi
}

file() { # FILE
    if refused=$( (: >>"$1") 2>&1); then
        echo null
    else
        say "$refused"
    fi
}

quoted() { # TEXT: as JSON, without what JSON would have escaped
    printf '"%s"\n' "$(printf %s "$1" | tr -c 'A-Za-z0-9 .,:()/_-' .)"
}

say() { # COMPLAINT: of the shell, about a file; any other is said as it is
    case $1 in
        SQLite:*) quoted "$1" ;;
        *"ermission denied") echo '"EACCES"' ;;
        *"o such file or directory" | *"irectory nonexistent" | *"o such file") echo '"ENOENT"' ;;
        *) quoted "$1" ;;
    esac
}

printf '{"agent reads inbound.db": %s, "agent writes outbound.db": %s,' \
    "$(sql /workspace/inbound.db 'SELECT * FROM t' -readonly)" \
    "$(sql /workspace/outbound.db 'INSERT INTO t VALUES (2)')"
printf ' "agent touches .heartbeat": %s, "agent writes into the group directory": %s,' \
    "$(file /workspace/.heartbeat)" "$(file /workspace/agent/notes)"
printf ' "agent writes into .claude-shared": %s}\n' "$(file /home/node/.claude/settings.json)"
