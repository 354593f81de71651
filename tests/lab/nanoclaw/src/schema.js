// The tables that other programs may look at, with the names and columns of v2.
export const CENTRAL = `
CREATE TABLE IF NOT EXISTS agent_groups (
  id TEXT PRIMARY KEY, name TEXT NOT NULL, folder TEXT NOT NULL UNIQUE, agent_provider TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY, agent_group_id TEXT NOT NULL REFERENCES agent_groups(id), messaging_group_id TEXT,
  thread_id TEXT, agent_provider TEXT, status TEXT DEFAULT 'active', container_status TEXT DEFAULT 'stopped',
  last_active TEXT, created_at TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS messaging_groups (
  id TEXT PRIMARY KEY, channel_type TEXT NOT NULL, platform_id TEXT NOT NULL, name TEXT, is_group INTEGER DEFAULT 0,
  unknown_sender_policy TEXT NOT NULL DEFAULT 'strict', created_at TEXT NOT NULL, UNIQUE (channel_type, platform_id));
CREATE TABLE IF NOT EXISTS messaging_group_agents (
  id TEXT PRIMARY KEY, messaging_group_id TEXT NOT NULL REFERENCES messaging_groups(id),
  agent_group_id TEXT NOT NULL REFERENCES agent_groups(id), engage_mode TEXT NOT NULL, engage_pattern TEXT,
  sender_scope TEXT NOT NULL, ignored_message_policy TEXT NOT NULL, session_mode TEXT DEFAULT 'shared',
  priority INTEGER DEFAULT 0, created_at TEXT NOT NULL, UNIQUE (messaging_group_id, agent_group_id));
CREATE TABLE IF NOT EXISTS container_configs (
  agent_group_id TEXT PRIMARY KEY REFERENCES agent_groups(id), config TEXT NOT NULL);
`;

// Written by the host only.
export const INBOUND = `
CREATE TABLE IF NOT EXISTS messages_in (
  id TEXT PRIMARY KEY, seq INTEGER UNIQUE, kind TEXT NOT NULL, timestamp TEXT NOT NULL, status TEXT DEFAULT 'pending',
  process_after TEXT, recurrence TEXT, series_id TEXT, tries INTEGER DEFAULT 0, trigger INTEGER NOT NULL DEFAULT 1,
  platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS delivered (
  message_out_id TEXT PRIMARY KEY, platform_message_id TEXT, status TEXT NOT NULL DEFAULT 'delivered',
  delivered_at TEXT NOT NULL);
`;

// Written by the container only, but for the claims that a dead container leaves behind.
export const OUTBOUND = `
CREATE TABLE IF NOT EXISTS messages_out (
  id TEXT PRIMARY KEY, seq INTEGER UNIQUE, in_reply_to TEXT, timestamp TEXT NOT NULL, deliver_after TEXT,
  recurrence TEXT, kind TEXT NOT NULL, platform_id TEXT, channel_type TEXT, thread_id TEXT, content TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS processing_ack (
  message_id TEXT PRIMARY KEY, status TEXT NOT NULL, status_changed TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS session_state (
  key TEXT PRIMARY KEY, value TEXT NOT NULL, updated_at TEXT NOT NULL);
`;
