#!/bin/sh
# The agent: reads one prompt from standard input, later ones from ipc/input, and answers on standard output, each
# answer between two marks. What is said stands in the session's transcript. It leaves when it finds _close.
W=${NANOCLAW_WORKSPACE:-/workspace}
INPUT=$W/ipc/input
TRANSCRIPTS=${HOME:-/home/node}/.claude/projects/-workspace-group
NOW="strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"

say() { echo "[agent-runner] $*" >&2; }
ask() { sqlite3 -batch -bail :memory: "$1"; }
field() { ask "SELECT json_extract(CAST(readfile('$1') AS TEXT), '\$.$2');"; }
emit() { printf '%s\n' '---NANOCLAW_OUTPUT_START---' "$1" '---NANOCLAW_OUTPUT_END---'; }
fail() { # the real one passes on what the model's process complains of, which needs its home
    say "Agent error: $1"
    emit "{\"status\":\"error\",\"result\":null,\"error\":\"$1\"}"
    exit 1
}
trap 'exit 0' TERM INT

line() { # ROLE SQL: a line of the transcript
    echo "json_object('type', '$1', 'sessionId', '$session', 'timestamp', $NOW,
        'message', json_object('role', '$1', 'content', $2))"
}

answer() { # FILE KEY: answers the text that FILE has under KEY
    text="json_extract(CAST(readfile('$1') AS TEXT), '\$.$2')"
    said=$(ask "SELECT $(line user "$text"); SELECT $(line assistant "'echo: ' || $text");") ||
        fail "the prompt is no JSON"
    if ! { mkdir -p "$TRANSCRIPTS" && printf '%s\n' "$said" >> "$TRANSCRIPTS/$session.jsonl"; }; then
        fail "cannot write $TRANSCRIPTS"
    fi
    emit "$(ask "SELECT json_object('status', 'success', 'result', 'echo: ' || $text, 'newSessionId', '$session');")"
}

cd "$W/group" || fail "cannot enter $W/group"
first=$(mktemp)
cat > "$first"
session=$(field "$first" sessionId)
[ -n "$session" ] || session=$(cat /proc/sys/kernel/random/uuid)
rm -f "$INPUT/_close"
answer "$first" prompt
rm -f "$first"
while :; do
    for file in "$INPUT"/*.json; do
        [ -e "$file" ] || continue
        answer "$file" text
        rm -f "$file" || fail "cannot remove $file" # else it would be answered for ever
    done
    [ -d "$INPUT" ] && [ ! -e "$INPUT/_close" ] || break
    sleep 1
done
rm -f "$INPUT/_close"
say "Close sentinel received, exiting"
