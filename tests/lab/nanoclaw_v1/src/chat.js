// Says something to a group's agent and prints its answer: node dist/chat.js [--folder main] [--timeout 180] TEXT
// It stands for a channel: it files what is said, and takes what the host files as said by the bot.
import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { GROUPS } from './config.js';
import * as store from './store.js';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { folder: { type: 'string', default: 'main' }, timeout: { type: 'string', default: '180' } },
});

/** The last thing that a container of this group said before it ended. */
function lastWords(folder) {
  try {
    const dir = join(GROUPS, folder, 'logs');
    const newest = readdirSync(dir).filter((name) => name.startsWith('container-')).sort().at(-1);
    return readFileSync(join(dir, newest), 'utf8').trim().split('\n').at(-1);
  } catch {
    return 'no container has ended yet';
  }
}

async function main() {
  const text = positionals.join(' ');
  const deadline = Date.now() + Number(values.timeout) * 1000;
  if (!text || Number.isNaN(deadline)) return [2, 'usage: node dist/chat.js [--folder main] [--timeout SECONDS] TEXT'];
  const group = (await store.groups()).find(({ folder }) => folder === values.folder);
  if (!group) return [1, `refused: no group has the folder ${values.folder}`];
  const id = await store.say(group.jid, text);
  while (Date.now() < deadline) {
    const answer = await store.answerTo(group.jid, id);
    if (answer !== undefined) return [0, answer];
    await sleep(500);
  }
  return [1, `timed out after ${values.timeout} s, the message is still open; ${lastWords(values.folder)}`];
}

const [code, text] = await main().catch((error) => [1, `refused: ${error.message}`]);
(code === 0 ? process.stdout : process.stderr).write(`${text}\n`, () => process.exit(code));
