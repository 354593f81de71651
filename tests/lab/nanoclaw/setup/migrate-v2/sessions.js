// Makes a session for each messaging group of a v1 session directory, and copies what the agent's home held.
// As upstream's, whose faults are wanted here:
//   - the conversation that goes on is the newest file, but a copy does not keep its time: any of them may be it; and
//     it is set at every run, over what v2 has begun
//   - a link to a directory ends the step (EISDIR)
import { copyFileSync, existsSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { sharedDir } from '../../src/layout.js';
import { quote, run } from '../../src/sqlite.js';
import * as store from '../../src/store.js';
import { messagingGroupsOf } from '../../src/wiring.js';
import { needCentral, v1Path } from './shared.js';

/** How many files it copied: those that were not there, and what links point to. */
function copyTree(from, to) {
  mkdirSync(to, { recursive: true });
  let files = 0;
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, dest] = [join(from, entry.name), join(to, entry.name)];
    if (entry.name === '.DS_Store') continue;
    if (entry.isDirectory()) files += copyTree(source, dest);
    else if (existsSync(source) && !existsSync(dest)) { // not a link to nothing
      copyFileSync(source, dest);
      files += 1;
    }
  }
  return files;
}

/** The newest conversation below `projects`, by its file's time; none where there is no file. */
function newest(projects) {
  const dir = ['-workspace-agent', '-workspace-group'].map((name) => join(projects, name)).find(existsSync);
  const names = dir ? readdirSync(dir).filter((name) => name.endsWith('.jsonl')) : [];
  const times = new Map(names.map((name) => [name, statSync(join(dir, name)).mtimeMs]));
  return names.sort((one, other) => times.get(other) - times.get(one))[0]?.replace('.jsonl', '');
}

async function bringHome(claude, group, sessions) {
  const shared = sharedDir(group);
  let files = copyTree(claude, shared);
  const [before, now] = ['-workspace-group', '-workspace-agent'].map((name) => join(shared, 'projects', name));
  if (existsSync(before) && !existsSync(now)) files += copyTree(before, now);
  const conversation = newest(join(shared, 'projects'));
  for (const session of conversation === undefined ? [] : sessions) {
    const row = `('continuation:claude', ${quote(conversation)}, ${store.NOW})`;
    await run(store.outbound(session), `INSERT OR REPLACE INTO session_state (key, value, updated_at) VALUES ${row};`);
  }
  return files;
}

const base = join(v1Path('sessions'), 'data', 'sessions');
if (!existsSync(base)) {
  console.log('SKIPPED:no v1 data/sessions/ directory');
  process.exit(0);
}
needCentral();
await store.open();
const done = { created: 0, reused: 0, skipped: 0, files: 0 };
for (const entry of readdirSync(base, { withFileTypes: true })) {
  if (!entry.isDirectory()) continue;
  const group = store.groups.get(entry.name);
  const messagingGroups = group ? await messagingGroupsOf(group) : [];
  if (messagingGroups.length === 0) done.skipped += 1;
  const sessions = [];
  for (const messagingGroup of messagingGroups) {
    const { session, created } = await store.resolveShared(group, messagingGroup);
    done[created ? 'created' : 'reused'] += 1;
    sessions.push(session);
  }
  const claude = join(base, entry.name, '.claude');
  if (sessions.length > 0 && existsSync(claude)) done.files += await bringHome(claude, group, sessions);
}
console.log(`OK:created=${done.created},reused=${done.reused},skipped=${done.skipped},files=${done.files}`);
