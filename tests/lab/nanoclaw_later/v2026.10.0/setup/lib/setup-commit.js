// Commits what a skill has written to the checkout, and carries the marker of the upgrade over to that commit.
import { execFileSync } from 'node:child_process';

import { code, read, write } from '../../src/upgrade-state.js';

const PATHS = ['package.json', 'pnpm-lock.yaml', 'container', 'scripts', 'setup', 'src'];
const git = (...args) => execFileSync('git', args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

function has(name) {
  try {
    return git('config', name).trim() !== '';
  } catch {
    return false;
  }
}

/** Commits as `setup: apply NAME`, unless NANOCLAW_SETUP_COMMIT is 0 or there is nothing to commit. */
export function commitApplied(name) {
  if (process.env.NANOCLAW_SETUP_COMMIT === '0') return;
  const before = code();
  git('add', '--all', '--', ...PATHS);
  if (!git('diff', '--cached', '--name-only')) return;
  if (!has('user.email')) {
    git('config', 'user.name', 'NanoClaw');
    git('config', 'user.email', 'nanoclaw@localhost');
  }
  git('commit', '--quiet', '--no-verify', '--message', `setup: apply ${name}`);
  const state = read();
  if (state?.commit && state.commit === before.commit) write(state.version, state.via);
}
