// What the steps of the migration share. As upstream's, a step reads a v1 and never writes there; what was brought
// over before stays as it is.
import { existsSync } from 'node:fs';
import { join } from 'node:path';

import { attachReadOnly, run } from '../../src/sqlite.js';
import { CENTRAL_DB } from '../../src/store.js';

/** The v1 that is named on the command line; without one the process ends. */
export function v1Path(step) {
  if (process.argv[2]) return process.argv[2];
  console.error(`usage: tsx setup/migrate-v2/${step}.ts V1`);
  return process.exit(1);
}

export const v1Database = (v1) => join(v1, 'store', 'messages.db');

/** The rows of a SELECT on v1's database. */
export function askV1(v1, select) {
  return run(':memory:', `${attachReadOnly(v1Database(v1), 'v1')}${select};`);
}

/** Ends the process with an error where the step db has not made the central database. */
export function needCentral() {
  if (existsSync(CENTRAL_DB)) return;
  console.error('v2.db not found: run the step db first');
  process.exit(1);
}

/** Ends the process with what a step says when it cannot go on; of SQLite's complaints the first line's end. */
export function fail(error) {
  console.error(`FAIL:${error.message.match(/near line \d+: ([^\n]*)/)?.[1] ?? error.message}`);
  process.exit(1);
}

const CHANNELS = { dc: 'discord', tg: 'telegram', wa: 'whatsapp', mx: 'matrix', im: 'imessage' };

/** Which chat of which channel a v1 address names; null where it names none. */
export function parseJid(jid) {
  if (/@(s\.whatsapp\.net|g\.us|lid|broadcast|newsletter)$/i.test(jid)) return { channel: 'whatsapp', id: jid };
  const [, prefix, id] = jid.match(/^([^:]+):(.+)$/s) ?? [];
  return prefix ? { channel: CHANNELS[prefix.toLowerCase()] ?? prefix.toLowerCase(), id } : null;
}

/** What v2 calls that chat; null for one of Discord: upstream asks Discord for it, and here there is no network. */
export function platformId({ channel, id }) {
  if (channel === 'discord') return null;
  return channel === 'whatsapp' || id.startsWith(`${channel}:`) ? id : `${channel}:${id}`;
}
