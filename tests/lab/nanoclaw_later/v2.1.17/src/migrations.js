// What changes the central database once. There is no way back: an earlier version does not know the new columns.
export const MIGRATIONS = `
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, applied TEXT);
`;

export const INSTANCE = 'session-instance';

export const ADD_INSTANCE = `
BEGIN;
ALTER TABLE sessions RENAME TO sessions_before;
CREATE TABLE sessions (
  id TEXT PRIMARY KEY, agent_group_id TEXT NOT NULL REFERENCES agent_groups(id), messaging_group_id TEXT,
  thread_id TEXT, agent_provider TEXT, status TEXT DEFAULT 'active', container_status TEXT DEFAULT 'stopped',
  last_active TEXT, created_at TEXT NOT NULL, instance TEXT NOT NULL);
INSERT INTO sessions SELECT *, 'main' FROM sessions_before;
DROP TABLE sessions_before;
INSERT INTO schema_version (name, applied) VALUES ('session-instance', datetime('now'));
COMMIT;
`;
