// The central database and what the host asks of a session's two databases.
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';

import { DATA } from './config.js';
import { createSession, sessionDir } from './layout.js';
import { CENTRAL } from './schema.js';
import { attachReadOnly, quote, run } from './sqlite.js';

export const CENTRAL_DB = join(DATA, 'v2.db');
const MAX_TRIES = 5;
export const NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
const DUE = "status = 'pending' AND (process_after IS NULL OR datetime(process_after) <= datetime('now'))";

export const newId = (kind) => `${kind}-${Date.now()}-${randomBytes(3).toString('hex')}`;
export const inbound = (session) => join(sessionDir(session), 'inbound.db');
export const outbound = (session) => join(sessionDir(session), 'outbound.db');

// One host a tree, so what the central database holds is read once and remembered.
export const groups = new Map(); // by folder
export const sessions = new Map(); // by id

export async function open() {
  await run(CENTRAL_DB, `.output /dev/null\nPRAGMA journal_mode = WAL;\n.output\n${CENTRAL}`);
  for (const group of await run(CENTRAL_DB, 'SELECT * FROM agent_groups;')) groups.set(group.folder, group);
  const active = await run(CENTRAL_DB, "SELECT * FROM sessions WHERE status = 'active' ORDER BY rowid;");
  for (const session of active) sessions.set(session.id, session);
}

export function groupOf(session) {
  return [...groups.values()].find((group) => group.id === session.agent_group_id);
}

export async function resolveGroup(folder, name = folder) {
  if (!groups.has(folder)) {
    const group = { id: newId('ag'), name, folder };
    const values = [group.id, group.name, group.folder].map(quote);
    await run(CENTRAL_DB, `INSERT INTO agent_groups (id, name, folder, created_at) VALUES (${values}, ${NOW});`);
    groups.set(folder, group);
  }
  return groups.get(folder);
}

function findSession(group, wanted) {
  return [...sessions.values()].find((one) => one.agent_group_id === group?.id && wanted(one));
}

async function addSession(group, messagingGroup, thread) {
  const about = { agent_group_id: group.id, messaging_group_id: messagingGroup, thread_id: thread };
  const session = { id: newId('sess'), ...about };
  await createSession(session);
  const values = Object.values(session).map(quote);
  await run(CENTRAL_DB, `INSERT INTO sessions (${Object.keys(session)}, created_at) VALUES (${values}, ${NOW});`);
  sessions.set(session.id, session);
  return session;
}

/** Files a chat of the command line among the messaging groups, as every chat is. */
async function fileChat(platformId) {
  const row = { id: newId('mg'), channel_type: 'cli', platform_id: platformId, unknown_sender_policy: 'public' };
  const known = `SELECT 1 FROM messaging_groups WHERE channel_type = 'cli' AND platform_id = ${quote(platformId)}`;
  await run(CENTRAL_DB, `INSERT INTO messaging_groups (${Object.keys(row)}, created_at)
    SELECT ${Object.values(row).map(quote)}, ${NOW} WHERE NOT EXISTS (${known});`);
}

/** The session called `name` in the group of `folder`; both are made when they are new. */
export async function resolveSession(folder, name) {
  const group = await resolveGroup(folder);
  const known = findSession(group, (one) => one.thread_id === name);
  if (known) return known;
  await fileChat(`${folder}/${name}`);
  return addSession(group, null, name);
}

/** The session that a group has with a messaging group, and whether it was made now. */
export async function resolveShared(group, messagingGroup) {
  const known = findSession(group, (one) => one.messaging_group_id === messagingGroup.id && one.thread_id === null);
  return { session: known ?? (await addSession(group, messagingGroup.id, null)), created: !known };
}

/** The session that the migration made for the first messaging group of a folder; an error without one. */
export function migratedSession(folder) {
  const isShared = (one) => one.messaging_group_id !== null && one.thread_id === null;
  const session = findSession(groups.get(folder), isShared);
  if (!session) throw new Error(`${folder} has no migrated session`);
  return session;
}

/** Adds a row to messages_in, with its time and the next number. */
export async function insertMessage(session, row) {
  await run(inbound(session), `
    INSERT INTO messages_in (${Object.keys(row)}, timestamp, seq)
    SELECT ${Object.values(row).map(quote)}, ${NOW}, COALESCE(MAX(seq), 0) + 2 FROM messages_in;`);
}

/** Files a message for the agent and says its id. */
export async function addMessage(session, text) {
  const id = newId('msg');
  const place = { channel_type: 'cli', platform_id: 'local', thread_id: session.thread_id };
  await insertMessage(session, { id, series_id: id, kind: 'chat', ...place, content: JSON.stringify({ text }) });
  return id;
}

/**
 * Takes over what the container acknowledged, then tells how the session stands: the answers not yet delivered,
 * the messages named in `asked` or still open, and the claims that are held.
 */
export async function inspect(session, asked = []) {
  const rows = await run(inbound(session), `${attachReadOnly(outbound(session), 'o')}
    UPDATE messages_in SET status = 'completed' WHERE status NOT IN ('completed', 'failed')
      AND id IN (SELECT message_id FROM o.processing_ack WHERE status IN ('completed', 'failed'));
    SELECT 'answer' AS row, id, in_reply_to AS ref, content AS value, 0 AS due, seq FROM o.messages_out
      WHERE id NOT IN (SELECT message_out_id FROM delivered)
    UNION ALL
    SELECT 'message', id, NULL, status, ${DUE}, seq FROM messages_in
      WHERE status = 'pending' OR id IN (${asked.map(quote)})
    UNION ALL
    SELECT 'claim', message_id, NULL, status_changed, 0, 0 FROM o.processing_ack WHERE status = 'processing'
    ORDER BY seq;`);
  const of = (kind) => rows.filter(({ row }) => row === kind);
  const messages = of('message').map(({ id, value, due }) => ({ id, status: value, due: due === 1 }));
  return {
    answers: of('answer').map(({ id, ref, value }) => ({ id, inReplyTo: ref, text: JSON.parse(value).text })),
    messages,
    due: messages.some((message) => message.due),
    open: messages.some((message) => message.status === 'pending'),
    claims: of('claim').map(({ id, value }) => ({ id, since: Date.parse(value) })),
  };
}

export async function markDelivered(session, ids) {
  const rows = ids.map((id) => `(${quote(id)}, ${NOW})`);
  await run(inbound(session), `INSERT OR IGNORE INTO delivered (message_out_id, delivered_at) VALUES ${rows};`);
}

/**
 * Claims of a container that is gone: their messages are tried again later, or fail after MAX_TRIES. Only claimed
 * messages count a try; a container that dies before it can claim is therefore started again for ever.
 */
export async function releaseClaims(session) {
  await run(inbound(session), `${attachReadOnly(outbound(session), 'o')}
    UPDATE messages_in SET
      status = CASE WHEN tries >= ${MAX_TRIES} THEN 'failed' ELSE status END,
      process_after = strftime('%Y-%m-%dT%H:%M:%fZ', 'now', (5 << tries) || ' seconds'),
      tries = CASE WHEN tries >= ${MAX_TRIES} THEN tries ELSE tries + 1 END
    WHERE ${DUE} AND id IN (SELECT message_id FROM o.processing_ack WHERE status = 'processing');`);
  await run(outbound(session), "DELETE FROM processing_ack WHERE status = 'processing';");
}
