// Containers of sessions through Docker: one a session, with a fixed name and labels. They outlive the host.
import { execFile, spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { promisify } from 'node:util';

import { LABEL, SLUG } from '../config.js';
import { log } from '../log.js';

const LONGEST_NAME = 48;
const exec = promisify(execFile);
const docker = (...args) => exec('docker', args, { timeout: 120_000 });

/** Fails where Docker does not answer: the host must not run without it. */
export async function ensureRuntime() {
  await docker('info');
}

export function containerName(sessionId) {
  const name = `ncl-${SLUG}-${sessionId}`;
  if (name.length <= LONGEST_NAME) return name;
  return `${name.slice(0, 39)}-${createHash('sha256').update(name).digest('hex').slice(0, 8)}`;
}

export function labelsOf(group, session) {
  const named = { group: group.id, session: session.id, role: 'agent', 'group-folder': group.folder };
  const former = `nanoclaw-v2-${group.folder}-${Date.now()}`;
  const pairs = Object.entries({ ...named, 'container-name': former });
  return [LABEL, ...pairs.map(([name, value]) => `nanoclaw-${name}=${value}`)];
}

/** A directory that Docker makes where a source is missing would be root's. */
function assertMountSourcesExist(mounts) {
  for (const [source] of mounts) if (!existsSync(source)) throw new Error(`Mount source does not exist: ${source}`);
}

function followed(command, onLine, onExit) {
  const child = spawn('docker', command, { stdio: ['ignore', 'ignore', 'pipe'] });
  child.stderr.setEncoding('utf8').on('data', onLine);
  child.on('error', (error) => log.error('Docker cannot be started', { error: error.message }));
  child.on('close', onExit);
}

/** Creates a session's container and starts it; a container of that name that never started gives way. */
export async function launch(name, args, mounts, onExit) {
  assertMountSourcesExist(mounts);
  await docker('rm', '--force', name).catch(() => {}); // there is none, as a rule
  await docker('create', '--rm', '--name', name, ...args);
  followed(['start', '--attach', name], (text) => log.debug(text.trimEnd(), { name }), onExit);
}

/** Running containers of this install by their session, which an earlier run of the host has started. */
export async function runningSessions() {
  const filters = [`label=${LABEL}`, 'label=nanoclaw-session'].flatMap((filter) => ['--filter', filter]);
  const { stdout } = await docker('ps', ...filters, '--format', '{{.Names}}\t{{.Label "nanoclaw-session"}}');
  return stdout.split('\n').filter(Boolean).map((line) => line.split('\t'));
}

/** Follows a container that runs already. */
export function follow(name, onExit) {
  followed(['wait', name], () => {}, onExit);
}

export async function stop(name) {
  await docker('stop', '-t', '1', name).catch((error) => log.warn('Stop failed', { name, error: error.message }));
}
