// What the host writes to disk for groups and sessions. It never chowns: who runs the host owns what it makes.
import { existsSync, lstatSync, mkdirSync, readdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { GROUPS, ROOT, SESSIONS } from './config.js';
import { INBOUND, OUTBOUND } from './schema.js';
import { quote, run } from './sqlite.js';

const SKILLS = join(ROOT, 'container', 'skills');

export const groupDir = (group) => join(GROUPS, group.folder);
export const sharedDir = (group) => join(SESSIONS, group.id, '.claude-shared');
export const sessionDir = (session) => join(SESSIONS, session.agent_group_id, session.id);

function writeIfAbsent(path, text) {
  if (!existsSync(path)) writeFileSync(path, text);
}

function linkIfAbsent(target, path) {
  if (!lstatSync(path, { throwIfNoEntry: false })) symlinkSync(target, path);
}

/** At start: groups/global goes, each group's own CLAUDE.md becomes its memory. */
export function migrateGroups() {
  rmSync(join(GROUPS, 'global'), { recursive: true, force: true });
  mkdirSync(GROUPS, { recursive: true });
  for (const entry of readdirSync(GROUPS, { withFileTypes: true })) {
    const [own, memory] = ['CLAUDE.md', 'CLAUDE.local.md'].map((name) => join(GROUPS, entry.name, name));
    if (entry.isDirectory() && existsSync(own) && !existsSync(memory)) renameSync(own, memory);
  }
}

/** Before each container: the group's directory and the agent's home, made or brought up to date. */
export function prepareGroup(group) {
  const dir = groupDir(group);
  const fragments = join(dir, '.claude-fragments');
  mkdirSync(fragments, { recursive: true });
  writeIfAbsent(join(dir, 'CLAUDE.local.md'), '');
  linkIfAbsent('/app/CLAUDE.md', join(dir, '.claude-shared.md'));
  const config = { ...group.config, groupName: group.name, provider: 'claude' };
  writeFileSync(join(dir, 'container.json'), `${JSON.stringify(config, null, 2)}\n`);

  const shared = sharedDir(group);
  mkdirSync(join(shared, 'skills'), { recursive: true });
  writeIfAbsent(join(shared, 'settings.json'), `${JSON.stringify({ env: {} }, null, 2)}\n`);

  const imports = ['@./.claude-shared.md'];
  for (const skill of readdirSync(SKILLS).sort()) {
    // Both links dangle on the host: /app exists in the container alone.
    linkIfAbsent(`/app/skills/${skill}`, join(shared, 'skills', skill));
    linkIfAbsent(`/app/skills/${skill}/instructions.md`, join(fragments, `skill-${skill}.md`));
    imports.push(`@./.claude-fragments/skill-${skill}.md`);
  }
  const composed = join(dir, 'CLAUDE.md');
  const draft = `${composed}.tmp-${process.pid}`;
  writeFileSync(draft, `${imports.join('\n')}\n`);
  renameSync(draft, composed);
}

/** A new session's directory and its two databases, in DELETE journal mode and 0644 as SQLite makes them. */
export async function createSession(session) {
  const dir = sessionDir(session);
  mkdirSync(join(dir, 'outbox'), { recursive: true });
  await run(join(dir, 'inbound.db'), `${INBOUND}\n.open ${quote(join(dir, 'outbound.db'))}\n${OUTBOUND}`);
}
