#!/bin/sh
# The agent: answers what it finds in inbound.db, and keeps all it writes where the contract says.
#
# How a message can end as "done" without an answer, as in the real runner:
#   - The outbound database cannot be written: the first write is fatal, before anything is claimed. The message stays
#     pending, the host starts a new container at each sweep, no try is counted, no answer ever comes.
#   - The databases are fine but the agent's home (.claude) is not: the model's process ends without a result. The
#     runner closes the batch all the same, so the message is "completed" and nobody gets an answer.
#   - A container goes silent with a claim: the host kills it and retries; after five tries the message is "failed".
W=${NANOCLAW_WORKSPACE:-/workspace}
AGENT=${NANOCLAW_AGENT_DIR:-/workspace/agent}
CLAUDE=${HOME:-/home/node}/.claude
TRANSCRIPTS=$CLAUDE/projects/-workspace-agent
IDLE_SECONDS=$((${IDLE_TIMEOUT:-30000} / 1000))
NOW="strftime('%Y-%m-%dT%H:%M:%fZ', 'now')"
INBOUND="ATTACH 'file:$W/inbound.db?mode=ro' AS i;"

say() { echo "[poll-loop] $*" >&2; }
die() { echo "Fatal error: $*" >&2; exit 1; }
trap 'exit 0' TERM INT

# The real runner waits 5 s for a lock. A lab on a busy computer is several times slower than a real machine, and a
# lock that is never released still ends in an error.
outbound() { # SQL: what SQLite complains of is fatal
    complaint=$(sqlite3 -batch -bail -cmd '.timeout 30000' "$W/outbound.db" "$1" 2>&1) || die "$complaint"
}

pending() {
    sqlite3 -batch -bail -readonly -cmd '.timeout 30000' "$W/outbound.db" "$INBOUND
        SELECT id FROM i.messages_in WHERE status = 'pending'
          AND (process_after IS NULL OR datetime(process_after) <= datetime('now'))
          AND id NOT IN (SELECT message_id FROM processing_ack) ORDER BY seq;"
}

beat() { touch "$W/.heartbeat" || true; } # the real runner ignores this failure too

think() { # ID: what stands for the model's process; it needs its home, the notes are a courtesy
    mkdir -p "$TRANSCRIPTS" && echo "{\"message\":\"$1\"}" >> "$TRANSCRIPTS/session.jsonl" || return 1
    { mkdir -p "$AGENT/conversations" && echo "$(date -u +%FT%TZ) $1" >> "$AGENT/conversations/log.md"; } ||
        say "Failed to archive the conversation"
}

# The real one hands the model the conversation that session_state names. Here it can only be asked for, with
# "which conversation"; the lines of its transcript show that it is there, and nothing is added to them.
CONVERSATION="(SELECT value FROM session_state WHERE key = 'continuation:claude')"
transcript_lines() {
    name=$(sqlite3 -batch -bail -readonly -cmd '.timeout 30000' "$W/outbound.db" "SELECT $CONVERSATION;")
    if [ -f "$TRANSCRIPTS/$name.jsonl" ]; then wc -l < "$TRANSCRIPTS/$name.jsonl"; else echo missing; fi
}

answer() { # ID
    outbound "INSERT OR REPLACE INTO processing_ack VALUES ('$1', 'processing', $NOW);"
    beat
    closing="UPDATE processing_ack SET status = 'completed', status_changed = $NOW WHERE message_id = '$1';"
    if think "$1"; then
        outbound "$INBOUND BEGIN;
            INSERT INTO messages_out (id, seq, in_reply_to, timestamp, kind, platform_id, channel_type, thread_id, content)
            SELECT 'out-' || m.id, (SELECT COALESCE(MAX(seq), -1) + 2 FROM messages_out), m.id, $NOW, m.kind,
              m.platform_id, m.channel_type, m.thread_id,
              json_object('text', 'echo: ' || CASE json_extract(m.content, '\$.text')
                WHEN 'which conversation'
                  THEN 'which conversation ' || COALESCE($CONVERSATION, 'none') || ' $(transcript_lines)'
                ELSE COALESCE(json_extract(m.content, '\$.text'), json_extract(m.content, '\$.prompt')) END)
            FROM i.messages_in m WHERE m.id = '$1';
            $closing COMMIT;"
    else
        say "The query ended without a result"
        outbound "$closing"
    fi
    say "Completed 1 message(s)"
}

cd "$AGENT" || die "cannot enter $AGENT"
outbound "DELETE FROM processing_ack WHERE status = 'processing';"
beat
busy=$(date +%s)
while [ $(($(date +%s) - busy)) -lt "$IDLE_SECONDS" ]; do
    for id in $(pending); do
        answer "$id"
        busy=$(date +%s)
    done
    sleep 1
done
say "Idle, leaving"
