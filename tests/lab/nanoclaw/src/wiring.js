// Messaging groups, which are the chats of a platform, and the agent groups that are wired to them.
import { quote, run } from './sqlite.js';
import { CENTRAL_DB, NOW, newId } from './store.js';

async function insert(table, row) {
  const values = Object.values(row).map(quote);
  await run(CENTRAL_DB, `INSERT INTO ${table} (${Object.keys(row)}, created_at) VALUES (${values}, ${NOW});`);
  return row;
}

export async function findMessagingGroup(channel, platformId) {
  const same = `channel_type = ${quote(channel)} AND platform_id = ${quote(platformId)}`;
  return (await run(CENTRAL_DB, `SELECT * FROM messaging_groups WHERE ${same};`))[0];
}

export function addMessagingGroup(about) {
  return insert('messaging_groups', { id: newId('mg'), ...about, unknown_sender_policy: 'public' });
}

/** The messaging groups that are wired to an agent group, oldest first. */
export function messagingGroupsOf(group) {
  return run(CENTRAL_DB, `
    SELECT m.* FROM messaging_groups m JOIN messaging_group_agents w ON w.messaging_group_id = m.id
    WHERE w.agent_group_id = ${quote(group.id)} ORDER BY w.rowid;`);
}

/** Wires an agent group to a messaging group; `engage` says which messages wake it. */
export function wire(group, messagingGroup, engage) {
  return insert('messaging_group_agents', {
    id: newId('mga'),
    messaging_group_id: messagingGroup.id,
    agent_group_id: group.id,
    ...engage,
    sender_scope: 'all',
    ignored_message_policy: 'drop',
    session_mode: 'shared',
    priority: 0,
  });
}
