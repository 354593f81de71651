// Containers: how they are called, what they mount, as whom they run.
import { execFile, spawn } from 'node:child_process';
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { GROUPS, IDLE_MS, IMAGE, LABEL, ROOT } from './config.js';
import { groupDir, prepareGroup, sessionDir, sharedDir } from './layout.js';
import { log } from './log.js';
import { additionalMounts } from './mounts.js';

const exec = promisify(execFile);
const docker = (...args) => exec('docker', args, { timeout: 120_000 });
const running = new Map(); // session id -> container name

export const isRunning = (session) => running.has(session.id);

/** Fails where Docker does not answer: the host must not run without it. */
export async function ensureRuntime() {
  await docker('info');
}

/** Containers of an earlier run of this install; those of other installs carry another label. */
export async function stopOrphans() {
  const { stdout } = await docker('ps', '--filter', `label=${LABEL}`, '--format', '{{.Names}}');
  const names = stdout.split('\n').filter(Boolean);
  for (const name of names) await docker('stop', '-t', '1', name).catch(() => {}); // it may have ended meanwhile
  if (names.length > 0) log.info('Stopped orphaned containers', { count: names.length, names });
}

/** Root and uid 1000 leave the image's own user in place; everybody else runs the container as themselves. */
export function userArgs(uid, gid) {
  if (uid === undefined || uid === 0 || uid === 1000) return [];
  return ['--user', `${uid}:${gid}`, '-e', 'HOME=/home/node'];
}

function mounts(group, session) {
  const dir = groupDir(group);
  const global = join(GROUPS, 'global');
  return [
    [sessionDir(session), '/workspace'],
    [dir, '/workspace/agent'],
    [join(dir, 'container.json'), '/workspace/agent/container.json', 'ro'],
    [join(dir, 'CLAUDE.md'), '/workspace/agent/CLAUDE.md', 'ro'],
    [join(dir, '.claude-fragments'), '/workspace/agent/.claude-fragments', 'ro'],
    ...(existsSync(global) ? [[global, '/workspace/global', 'ro']] : []),
    [join(ROOT, 'container', 'CLAUDE.md'), '/app/CLAUDE.md', 'ro'],
    [sharedDir(group), '/home/node/.claude'],
    [join(ROOT, 'container', 'agent-runner', 'src'), '/app/src', 'ro'],
    [join(ROOT, 'container', 'skills'), '/app/skills', 'ro'],
    ...additionalMounts(group),
  ];
}

export function runArgs(name, group, session) {
  return [
    'run', '--rm', '--name', name, '--label', LABEL,
    '-e', `IDLE_TIMEOUT=${IDLE_MS}`,
    ...userArgs(process.getuid?.(), process.getgid?.()),
    ...mounts(group, session).flatMap((mount) => ['-v', mount.join(':')]),
    IMAGE,
  ];
}

/** Last sign of life of the agent, or 0 before the first one. */
export function heartbeat(session) {
  return statSync(join(sessionDir(session), '.heartbeat'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/**
 * Starts the session's container unless it runs. `onExit(code)` comes when it has ended.
 * As the real host it logs the container's stderr at debug level only: by default a log has the exit code alone.
 */
export function wake(group, session, onExit) {
  if (isRunning(session)) return;
  prepareGroup(group);
  rmSync(join(sessionDir(session), '.heartbeat'), { force: true });
  const name = `nanoclaw-v2-${group.folder}-${Date.now()}`;
  log.info('Spawning container', { session: session.id, name });
  const child = spawn('docker', runArgs(name, group, session), { stdio: ['ignore', 'ignore', 'pipe'] });
  running.set(session.id, name);
  createInterface({ input: child.stderr }).on('line', (line) => log.debug(line, { container: group.folder }));
  child.on('error', (error) => log.error('Container spawn error', { session: session.id, error: error.message }));
  child.on('close', (code) => {
    running.delete(session.id);
    log.info('Container exited', { session: session.id, code, name });
    onExit(code);
  });
}

export async function kill(session, reason) {
  const name = running.get(session.id);
  log.warn('Killing container', { session: session.id, name, reason });
  await docker('stop', '-t', '1', name).catch((error) => log.warn('Stop failed', { name, error: error.message }));
}
