// Makes agent groups, messaging groups and their wiring from v1's registered groups.
// As upstream's it fails where registered_groups has no column is_main, as before 1.2.0.
import { existsSync, mkdirSync } from 'node:fs';

import { DATA } from '../../src/config.js';
import * as store from '../../src/store.js';
import { addMessagingGroup, findMessagingGroup, messagingGroupsOf, wire } from '../../src/wiring.js';
import { askV1, fail, parseJid, platformId, v1Database, v1Path } from './shared.js';

function isGroup(channel, platform) {
  if (channel === 'whatsapp') return platform.endsWith('@g.us');
  return channel !== 'telegram' || platform.startsWith('telegram:-');
}

function engage({ trigger_pattern: pattern, requires_trigger: required }) {
  const always = required === 0 || pattern === '.' || pattern === '.*';
  if (!always && !pattern?.trim()) return { engage_mode: 'mention', engage_pattern: null };
  return { engage_mode: 'pattern', engage_pattern: always ? '.' : pattern };
}

/** Brings one group over; says whether anything new was wired. Throws where it cannot be brought over. */
async function seed(row) {
  const jid = parseJid(row.jid);
  if (!jid) throw new Error(`Could not parse JID: ${row.jid}`);
  const platform = platformId(jid);
  if (platform === null) throw new Error(`Discord channel ${jid.id} (${row.folder}): no network to ask Discord`);
  const group = await store.resolveGroup(row.folder, row.name || row.folder);
  const about = { channel_type: jid.channel, platform_id: platform, name: row.name || null };
  const messagingGroup =
    (await findMessagingGroup(jid.channel, platform)) ??
    (await addMessagingGroup({ ...about, is_group: Number(isGroup(jid.channel, platform)) }));
  if ((await messagingGroupsOf(group)).some(({ id }) => id === messagingGroup.id)) return false;
  await wire(group, messagingGroup, engage(row));
  return true;
}

async function main() {
  const v1 = v1Path('db');
  if (!existsSync(v1Database(v1))) {
    console.error(`v1 DB not found: ${v1Database(v1)}`);
    return 1;
  }
  const columns = 'jid, name, folder, trigger_pattern, requires_trigger, is_main';
  const rows = await askV1(v1, `SELECT ${columns} FROM registered_groups ORDER BY rowid`);
  if (rows.length === 0) {
    console.log('SKIPPED:no registered groups in v1');
    return 0;
  }
  mkdirSync(DATA, { recursive: true });
  await store.open();
  const wired = [];
  const errors = [];
  for (const row of rows) await seed(row).then((fresh) => wired.push(fresh), ({ message }) => errors.push(message));

  const created = wired.filter(Boolean).length;
  const counts = { groups: rows.length, created, reused: wired.length - created, skipped: errors.length };
  const line = Object.entries(counts).map(([name, count]) => `${name}=${count}`).join(',');
  const say = wired.length > 0 ? console.log : console.error;
  say(`${wired.length > 0 ? 'OK' : 'FAIL'}:${line}`);
  for (const message of errors) say(`ERROR:${message}`);
  return wired.length > 0 ? 0 : 1;
}

process.exitCode = await main().catch(fail);
