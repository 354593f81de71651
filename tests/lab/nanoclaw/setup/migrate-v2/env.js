// Adds the keys of v1's .env that this install's does not have, and copies the whole to data/env/env.
// As upstream's it takes every key, secret or not, and leaves the modes of the files to the umask.
import { copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { DATA, ROOT } from '../../src/config.js';
import { v1Path } from './shared.js';

const BEGIN = '# ── migrated from v1 ──';
const OURS = join(ROOT, '.env');

/** The lines of a text that set a key, by their keys. */
function settings(text) {
  const lines = text.split('\n').map((line) => line.trimEnd().match(/^([A-Za-z_]\w*)\s*=.*$/));
  return new Map(lines.filter(Boolean).map(([line, key]) => [key, line]));
}

const theirs = join(v1Path('env'), '.env');
if (!existsSync(theirs)) {
  console.log('SKIPPED:no v1 .env');
  process.exit(0);
}
const wanted = settings(readFileSync(theirs, 'utf8'));
const text = existsSync(OURS) ? readFileSync(OURS, 'utf8') : '';
const known = settings(text);
const copied = [...wanted.keys()].filter((key) => !known.has(key));
if (copied.length > 0) {
  const head = text && !text.endsWith('\n') ? `${text}\n` : text;
  const mark = text.includes(BEGIN) ? '' : `\n${BEGIN}\n`;
  writeFileSync(OURS, `${head}${mark}${copied.map((key) => `${wanted.get(key)}\n`).join('')}`);
}
if (existsSync(OURS)) {
  mkdirSync(join(DATA, 'env'), { recursive: true });
  copyFileSync(OURS, join(DATA, 'env', 'env'));
}
console.log(`OK:copied=${copied.length},skipped=${wanted.size - copied.length}`);
if (copied.length > 0) console.log(`COPIED:${copied}`);
