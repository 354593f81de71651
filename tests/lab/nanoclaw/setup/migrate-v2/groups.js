// Copies the groups' directories; a group's CLAUDE.md becomes its memory, its container_config a container.json.
// As upstream's it loses links, what is called as in SKIPPED at any depth, and modification times.
import { copyFileSync, existsSync, mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { GROUPS } from '../../src/config.js';
import { askV1, v1Database, v1Path } from './shared.js';

const SKIPPED = ['CLAUDE.md', 'logs', '.git', '.DS_Store', 'node_modules'];

/** How many files it copied: those that were not there. */
function copyTree(from, to) {
  mkdirSync(to, { recursive: true });
  let files = 0;
  for (const entry of readdirSync(from, { withFileTypes: true })) {
    const [source, dest] = [join(from, entry.name), join(to, entry.name)];
    if (SKIPPED.includes(entry.name)) continue;
    if (entry.isSymbolicLink()) console.log(`SKIP:symlink ${source}`);
    else if (entry.isDirectory()) files += copyTree(source, dest);
    else files += copyIfAbsent(source, dest);
  }
  return files;
}

function copyIfAbsent(source, dest) {
  if (existsSync(dest)) return 0;
  copyFileSync(source, dest);
  return 1;
}

function writeConfig({ folder, container_config: config }) {
  const file = join(GROUPS, folder, 'container.json');
  if (!config || existsSync(file)) return;
  mkdirSync(join(GROUPS, folder), { recursive: true });
  try {
    writeFileSync(file, JSON.stringify(JSON.parse(config), null, 2));
  } catch {
    writeFileSync(join(GROUPS, folder, '.v1-container-config.json'), config); // for somebody to look at
  }
}

const v1 = v1Path('groups');
if (!existsSync(join(v1, 'groups'))) {
  console.log('SKIPPED:no v1 groups/ directory');
  process.exit(1);
}
if (existsSync(v1Database(v1))) {
  for (const row of await askV1(v1, 'SELECT folder, container_config FROM registered_groups')) writeConfig(row);
}
const done = { folders: 0, claudes: 0, files: 0 };
for (const entry of readdirSync(join(v1, 'groups'), { withFileTypes: true })) {
  if (!entry.isDirectory()) continue;
  const [from, to] = [join(v1, 'groups', entry.name), join(GROUPS, entry.name)];
  mkdirSync(to, { recursive: true });
  const memory = join(from, 'CLAUDE.md');
  if (existsSync(memory)) done.claudes += copyIfAbsent(memory, join(to, 'CLAUDE.local.md'));
  done.files += copyTree(from, to);
  done.folders += 1;
}
console.log(`OK:folders=${done.folders},claudes=${done.claudes},files=${done.files}`);
