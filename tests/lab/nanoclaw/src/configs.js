// What a group's container is started with: it stands in the database. container.json is only written from there.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { groupDir } from './layout.js';
import { log } from './log.js';
import { quote, run } from './sqlite.js';
import { CENTRAL_DB, groups } from './store.js';

function fromDisk(group) {
  try {
    return JSON.parse(readFileSync(join(groupDir(group), 'container.json'), 'utf8'));
  } catch (error) {
    const about = { folder: group.folder, error: error.message };
    if (error.code !== 'ENOENT') log.warn('container.json is not understood', about);
    return {};
  }
}

/** Gives each group its row, once: what container.json says now. A file that comes later is never read. */
export async function backfill() {
  const fresh = [...groups.values()].filter((group) => group.config === undefined);
  if (fresh.length === 0) return;
  const rows = await run(CENTRAL_DB, 'SELECT * FROM container_configs;');
  const known = new Map(rows.map((row) => [row.agent_group_id, JSON.parse(row.config)]));
  for (const group of fresh) {
    group.config = known.get(group.id) ?? fromDisk(group);
    if (known.has(group.id)) continue;
    const values = [group.id, JSON.stringify(group.config)].map(quote);
    await run(CENTRAL_DB, `INSERT INTO container_configs VALUES (${values});`);
  }
}
