// The marker of an upgrade: without it, or with that of another version, the host ends at its start.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const FILE = join(process.cwd(), 'data', 'upgrade-state.json');

function code() {
  return { version: JSON.parse(readFileSync('package.json', 'utf8')).version };
}

export function read() {
  try {
    return JSON.parse(readFileSync(FILE, 'utf8'));
  } catch {
    return null;
  }
}

export function write(version, via) {
  mkdirSync(join(process.cwd(), 'data'), { recursive: true });
  const state = { ...code(), ...(version && { version }), updatedAt: new Date().toISOString(), via };
  writeFileSync(FILE, `${JSON.stringify(state, null, 2)}\n`);
}

export function enforceUpgradeMarker() {
  const [state, wanted] = [read(), code()];
  if (state && Object.entries(wanted).every(([name, value]) => state[name] === value)) return;
  const rule = '='.repeat(64);
  const lines = [rule, 'NanoClaw stopped: this version was not reached through a supported update', rule];
  lines.push(`  code version:     ${wanted.version}`, `  recorded version: ${state?.version ?? 'none'}`);
  for (let line = 1; line <= 16; line++) lines.push(`  what an operator or an agent may do about it, line ${line}`);
  console.error(['', ...lines, rule, ''].join('\n'));
  process.exit(1);
}
