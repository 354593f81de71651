// Where this install lives and what its things are called.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

export const ROOT = process.cwd();
export const STORE = join(ROOT, 'store');
export const DATA = join(ROOT, 'data');
export const GROUPS = join(ROOT, 'groups');
export const DATABASE = join(STORE, 'messages.db');

export const VERSION = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).version;

function readEnv() {
  try {
    const lines = readFileSync(join(ROOT, '.env'), 'utf8').split('\n');
    return Object.fromEntries(lines.map((line) => line.match(/^(\w+)=(.*)$/)?.slice(1)).filter(Boolean));
  } catch {
    return {}; // an install without secrets
  }
}

const env = { ...readEnv(), ...process.env };
export const ASSISTANT = env.ASSISTANT_NAME || 'Andy';
export const IMAGE = process.env.CONTAINER_IMAGE || 'nanoclaw-agent:latest';
export const TIMEZONE = env.TZ || Intl.DateTimeFormat().resolvedOptions().timeZone;
process.env.TZ = TIMEZONE; // what Date calls local, for cron

const number = (name, fallback) => Number(process.env[name] || fallback);
export const POLL_MS = number('POLL_INTERVAL_MS', 2_000);
export const SCHEDULER_MS = number('SCHEDULER_INTERVAL_MS', 60_000);
// Idle containers leave after half a minute here; the real ones stay for 30 minutes.
export const IDLE_MS = number('IDLE_TIMEOUT', 30_000);

/** Whether this install is of `version` or later: 1.2.0 is later than 1.1.6. */
export function since(version) {
  const [mine, theirs] = [VERSION, version].map((text) => text.split('.').map(Number));
  const at = theirs.findIndex((part, index) => part !== mine[index]);
  return at < 0 || mine[at] > theirs[at];
}
