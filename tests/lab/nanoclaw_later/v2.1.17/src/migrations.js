// What changes the central database once, by name. There is no way back: an earlier version fails on what is new.
export const SCHEMA_VERSION = `
CREATE TABLE IF NOT EXISTS schema_version (version INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, applied TEXT);
`;

const MIGRATIONS = [
  {
    // As the real one it makes the table anew, with the foreign keys of others off.
    name: 'messaging-group-instance',
    sql: `
      CREATE TABLE messaging_groups_next (
        id TEXT PRIMARY KEY, channel_type TEXT NOT NULL, platform_id TEXT NOT NULL, name TEXT,
        is_group INTEGER DEFAULT 0, unknown_sender_policy TEXT NOT NULL DEFAULT 'strict', created_at TEXT NOT NULL,
        instance TEXT NOT NULL, UNIQUE (channel_type, platform_id, instance));
      INSERT INTO messaging_groups_next SELECT *, channel_type FROM messaging_groups;
      DROP TABLE messaging_groups;
      ALTER TABLE messaging_groups_next RENAME TO messaging_groups;`,
  },
];

/** The SQL that brings a database up to date which has these migrations. */
export function pending(applied) {
  return MIGRATIONS.filter(({ name }) => !applied.includes(name)).map(
    ({ name, sql }) => `
      PRAGMA foreign_keys = OFF;
      BEGIN IMMEDIATE;${sql}
      INSERT INTO schema_version (name, applied) VALUES ('${name}', datetime('now'));
      COMMIT;`,
  );
}
