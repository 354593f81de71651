// Where this install lives and what its things are called.
import { readFileSync, realpathSync } from 'node:fs';
import { join } from 'node:path';

import { installSlug } from 'install-slug';

export const ROOT = realpathSync(process.cwd());
export const DATA = join(ROOT, 'data');
export const GROUPS = join(ROOT, 'groups');
export const SESSIONS = join(DATA, 'v2-sessions');
export const SOCKET = join(DATA, 'cli.sock');

export const SLUG = installSlug(ROOT);
export const LABEL = `nanoclaw-install=${SLUG}`;
export const IMAGE = process.env.CONTAINER_IMAGE || `nanoclaw-agent-v2-${SLUG}:latest`;

const number = (name, fallback) => Number(process.env[name] || fallback);
export const SWEEP_MS = number('SWEEP_INTERVAL_MS', 60_000);
export const DELIVERY_MS = number('DELIVERY_INTERVAL_MS', 2_000);
// Idle containers leave after half a minute here; the real ones stay for up to 30 minutes.
export const IDLE_MS = number('IDLE_TIMEOUT', 30_000);
export const BACKOFF_S = (process.env.CIRCUIT_BREAKER_SECONDS || '0,0,10,30,120,300,900').split(',').map(Number);

export function version() {
  return JSON.parse(readFileSync(new URL('./version.json', import.meta.url), 'utf8')).version;
}
