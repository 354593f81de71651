// The tables of store/messages.db with the names and columns of v1, and what its later versions add to an older one.
import { mkdirSync } from 'node:fs';

import { DATABASE, STORE, since } from './config.js';
import { run, transaction } from './database.js';

const FIRST = `
CREATE TABLE IF NOT EXISTS chats (
  jid TEXT PRIMARY KEY, name TEXT, last_message_time TEXT, channel TEXT, is_group INTEGER DEFAULT 0);
CREATE TABLE IF NOT EXISTS messages (
  id TEXT, chat_jid TEXT, sender TEXT, sender_name TEXT, content TEXT, timestamp TEXT, is_from_me INTEGER,
  is_bot_message INTEGER DEFAULT 0, PRIMARY KEY (id, chat_jid), FOREIGN KEY (chat_jid) REFERENCES chats(jid));
CREATE INDEX IF NOT EXISTS idx_timestamp ON messages(timestamp);
CREATE TABLE IF NOT EXISTS scheduled_tasks (
  id TEXT PRIMARY KEY, group_folder TEXT NOT NULL, chat_jid TEXT NOT NULL, prompt TEXT NOT NULL,
  schedule_type TEXT NOT NULL, schedule_value TEXT NOT NULL, next_run TEXT, last_run TEXT, last_result TEXT,
  status TEXT DEFAULT 'active', created_at TEXT NOT NULL, context_mode TEXT DEFAULT 'isolated');
CREATE INDEX IF NOT EXISTS idx_next_run ON scheduled_tasks(next_run);
CREATE INDEX IF NOT EXISTS idx_status ON scheduled_tasks(status);
CREATE TABLE IF NOT EXISTS task_run_logs (
  id INTEGER PRIMARY KEY AUTOINCREMENT, task_id TEXT NOT NULL, run_at TEXT NOT NULL, duration_ms INTEGER NOT NULL,
  status TEXT NOT NULL, result TEXT, error TEXT, FOREIGN KEY (task_id) REFERENCES scheduled_tasks(id));
CREATE INDEX IF NOT EXISTS idx_task_run_logs ON task_run_logs(task_id, run_at);
CREATE TABLE IF NOT EXISTS router_state (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (group_folder TEXT PRIMARY KEY, session_id TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS registered_groups (
  jid TEXT PRIMARY KEY, name TEXT NOT NULL, folder TEXT NOT NULL UNIQUE, trigger_pattern TEXT NOT NULL,
  added_at TEXT NOT NULL, container_config TEXT, requires_trigger INTEGER DEFAULT 1);
`;

// version, table, column, type, what an older database gets at once
const LATER = [
  ['1.2.0', 'registered_groups', 'is_main', 'INTEGER DEFAULT 0',
    "UPDATE registered_groups SET is_main = 1 WHERE folder = 'main';"],
  ['1.2.18', 'scheduled_tasks', 'script', 'TEXT', ''],
  ['1.2.46', 'messages', 'reply_to_message_id', 'TEXT', ''],
  ['1.2.46', 'messages', 'reply_to_message_content', 'TEXT', ''],
  ['1.2.46', 'messages', 'reply_to_sender_name', 'TEXT', ''],
];

/** Makes the database, or brings that of an earlier version to this one; a column that is there already stays. */
export async function prepare() {
  mkdirSync(STORE, { recursive: true });
  await transaction(DATABASE, FIRST);
  for (const [version, table, column, type, backfill] of LATER) {
    if (!since(version)) continue;
    const there = await run(DATABASE, `SELECT 1 FROM pragma_table_info('${table}') WHERE name = '${column}';`);
    if (there.length > 0) continue;
    await transaction(DATABASE, `ALTER TABLE ${table} ADD COLUMN ${column} ${type};`, backfill);
  }
}
