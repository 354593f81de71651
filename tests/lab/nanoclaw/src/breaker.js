// Unclean starts within an hour delay the next one.
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

import { BACKOFF_S, DATA } from './config.js';
import { log } from './log.js';

const FILE = join(DATA, 'circuit-breaker.json');
const WINDOW_MS = 60 * 60 * 1000;

function attemptsSoFar() {
  try {
    const { attempt, timestamp } = JSON.parse(readFileSync(FILE, 'utf8'));
    return Date.now() - Date.parse(timestamp) < WINDOW_MS ? attempt : 0;
  } catch {
    return 0; // no file, or not ours to understand: a clean start
  }
}

export async function enforce() {
  const attempt = attemptsSoFar() + 1;
  mkdirSync(DATA, { recursive: true });
  writeFileSync(FILE, `${JSON.stringify({ attempt, timestamp: new Date().toISOString() }, null, 2)}\n`);
  const seconds = BACKOFF_S[Math.min(attempt, BACKOFF_S.length) - 1];
  if (seconds > 0) {
    log.warn('Circuit breaker: delaying the start after unclean stops', { attempt, seconds });
    await sleep(seconds * 1000);
  }
}

export function reset() {
  rmSync(FILE, { force: true });
}
