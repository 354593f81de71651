// Registers a chat with its folder and memory: node dist/register.js [--jid tg:1000] [--name Main] [--folder main]
// With --first only where no chat is registered, and what was said before counts as answered.
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';

import { GROUPS } from './config.js';
import { prepare } from './schema.js';
import * as store from './store.js';

const { values } = parseArgs({
  options: {
    jid: { type: 'string', default: 'tg:1000' },
    name: { type: 'string', default: 'Main' },
    folder: { type: 'string', default: 'main' },
    first: { type: 'boolean', default: false },
  },
});

if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(values.folder)) throw new Error(`bad folder ${values.folder}`);
await prepare();
if (values.first) await store.skipHistory();
if (!values.first || (await store.groups()).length === 0) {
  await store.register(values);
  mkdirSync(join(GROUPS, values.folder, 'logs'), { recursive: true });
  const memory = join(GROUPS, values.folder, 'CLAUDE.md');
  if (!existsSync(memory)) writeFileSync(memory, `# ${values.name}\nRemember things in this file.\n`);
}
