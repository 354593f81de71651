// What the host, chat.js and register.js ask of store/messages.db.
import { randomBytes } from 'node:crypto';

import { ASSISTANT, DATABASE, since } from './config.js';
import { quote, run, transaction } from './database.js';

const NOW = "strftime('%Y-%m-%dT%H:%M:%fZ', 'now')";
const CURSORS = "COALESCE((SELECT value FROM router_state WHERE key = 'last_agent_timestamp'), '{}')";
const path = (jid) => quote(`$."${jid}"`);

const setCursor = (jid, timestamp) => `
  INSERT OR REPLACE INTO router_state VALUES
    ('last_agent_timestamp', json_set(${CURSORS}, ${path(jid)}, ${timestamp})), ('last_timestamp', ${timestamp});`;

const addMessage = (id, jid, sender, text, isBot) => `
  INSERT OR REPLACE INTO messages (id, chat_jid, sender, sender_name, content, timestamp, is_from_me, is_bot_message)
    VALUES (${[id, jid, sender, sender, text].map(quote)}, ${NOW}, ${isBot}, ${isBot});
  UPDATE chats SET last_message_time = ${NOW} WHERE jid = ${quote(jid)};`;

export async function groups() {
  const rows = await run(DATABASE, 'SELECT * FROM registered_groups ORDER BY added_at, jid;');
  // Before 1.2.0 the main group is the one of this folder.
  return rows.map((row) => ({ ...row, isMain: since('1.2.0') ? row.is_main === 1 : row.folder === 'main' }));
}

export async function register({ jid, name, folder }) {
  const main = folder === 'main' ? 1 : 0;
  const known = since('1.2.0') ? [', is_main', `, ${main}`] : ['', ''];
  await transaction(
    DATABASE,
    `INSERT OR IGNORE INTO chats (jid, name, last_message_time) VALUES (${[jid, name].map(quote)}, ${NOW});`,
    `INSERT INTO registered_groups (jid, name, folder, trigger_pattern, added_at, requires_trigger${known[0]})
      VALUES (${[jid, name, folder, `@${ASSISTANT}`].map(quote)}, ${NOW}, ${1 - main}${known[1]});`,
  );
}

/** What was said before this install ran counts as answered, in each chat that nobody has answered in. */
export async function skipHistory() {
  const chats = await run(DATABASE, 'SELECT chat_jid AS jid, MAX(timestamp) AS until FROM messages GROUP BY chat_jid;');
  const [{ cursors }] = await run(DATABASE, `SELECT ${CURSORS} AS cursors;`);
  const unknown = chats.filter(({ jid }) => !(jid in JSON.parse(cursors)));
  if (unknown.length > 0) await transaction(DATABASE, ...unknown.map(({ jid, until }) => setCursor(jid, quote(until))));
}

/** Files what somebody says to a group, and says its id. */
export async function say(jid, text) {
  const id = `msg-${Date.now()}-${randomBytes(3).toString('hex')}`;
  await transaction(DATABASE, addMessage(id, jid, 'somebody', text, 0));
  return id;
}

/** The answer to a message, or undefined as long as there is none. */
export async function answerTo(jid, id) {
  const key = [jid, `answer-${id}`].map(quote);
  return (await run(DATABASE, `SELECT content FROM messages WHERE (chat_jid, id) = (${key});`))[0]?.content;
}

/** Messages of registered groups that came after the last answered one, oldest first. */
export function pending() {
  return run(DATABASE, `
    SELECT m.id, m.chat_jid AS jid, m.content, m.timestamp, g.folder
    FROM registered_groups g JOIN messages m ON m.chat_jid = g.jid
    WHERE NOT m.is_bot_message AND m.content <> ''
      AND m.timestamp > COALESCE(json_extract(${CURSORS}, '$."' || g.jid || '"'), '')
    ORDER BY m.timestamp, m.rowid;`);
}

export async function recordAnswer(message, text, sessionId) {
  await transaction(
    DATABASE,
    addMessage(`answer-${message.id}`, message.jid, ASSISTANT, text, 1),
    setCursor(message.jid, quote(message.timestamp)),
    `INSERT OR REPLACE INTO sessions VALUES (${[message.folder, sessionId].map(quote)});`,
  );
}

export async function sessionOf(folder) {
  const rows = await run(DATABASE, `SELECT session_id FROM sessions WHERE group_folder = ${quote(folder)};`);
  return rows[0]?.session_id;
}

export const allTasks = () => run(DATABASE, 'SELECT * FROM scheduled_tasks ORDER BY created_at DESC;');

export function dueTasks() {
  return run(DATABASE, `
    SELECT * FROM scheduled_tasks WHERE status = 'active' AND next_run <= ${NOW} ORDER BY next_run;`);
}

/** After a run of a task, good or bad. One without a next run is completed. */
export async function recordRun(task, { startedAt, result, error, nextRun }) {
  const status = error ? 'error' : 'success';
  const summary = error ? `Error: ${error}` : (result ?? 'Completed').slice(0, 200);
  const values = [task.id, new Date(startedAt).toISOString(), Date.now() - startedAt, status, result, error];
  await transaction(
    DATABASE,
    result ? addMessage(`task-${task.id}-${startedAt}`, task.chat_jid, ASSISTANT, result, 1) : '',
    `INSERT INTO task_run_logs (task_id, run_at, duration_ms, status, result, error) VALUES (${values.map(quote)});`,
    `UPDATE scheduled_tasks SET next_run = ${quote(nextRun)}, last_run = ${NOW}, last_result = ${quote(summary)},
      status = CASE WHEN ${quote(nextRun)} IS NULL THEN 'completed' ELSE status END WHERE id = ${quote(task.id)};`,
  );
}
