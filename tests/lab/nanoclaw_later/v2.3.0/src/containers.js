// Sessions and their containers: what these mount, as whom they run, when they start and end.
import { existsSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';

import { GROUPS, IDLE_MS, IMAGE, ROOT } from './config.js';
import * as driver from './drivers/docker-driver.js';
import { groupDir, prepareGroup, sessionDir, sharedDir } from './layout.js';
import { log } from './log.js';
import { additionalMounts } from './mounts.js';
import { contextFile, writeContext } from './session-context.js';

const FOLDER = /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/;
const running = new Map(); // session id -> container name

export const { ensureRuntime } = driver;
export const isRunning = (session) => running.has(session.id);

/** Root leaves the image's own user in place; everybody else runs the container as themselves. */
export function userArgs(uid, gid) {
  if (uid === undefined || uid === 0) return [];
  return ['--user', `${uid}:${gid}`, '-e', 'HOME=/home/node'];
}

function mountsOf(group, session) {
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
    [contextFile(session), '/app/.nanoclaw-session.json', 'ro'],
    [sharedDir(group), '/home/node/.claude'],
    [join(ROOT, 'container', 'agent-runner', 'src'), '/app/src', 'ro'],
    [join(ROOT, 'container', 'skills'), '/app/skills', 'ro'],
    ...additionalMounts(group),
  ];
}

function createArgs(group, session, mounts) {
  return [
    ...driver.labelsOf(group, session).flatMap((label) => ['--label', label]),
    '--cap-drop=ALL', '--security-opt=no-new-privileges',
    '-e', `IDLE_TIMEOUT=${IDLE_MS}`,
    ...userArgs(process.getuid?.(), process.getgid?.()),
    ...mounts.flatMap((mount) => ['-v', mount.join(':')]),
    IMAGE,
  ];
}

/** Last sign of life of the agent, or 0 before the first one. */
export function heartbeat(session) {
  return statSync(join(sessionDir(session), '.heartbeat'), { throwIfNoEntry: false })?.mtimeMs ?? 0;
}

/** What follows the end of a session's container. */
const closed = (session, name, onExit) => (code) => {
  running.delete(session.id);
  log.info('Container exited', { session: session.id, code, name });
  onExit(code);
};

/** Starts the session's container unless it runs. `onExit(code)` comes when it has ended. */
export function wake(group, session, onExit) {
  if (isRunning(session)) return;
  if (!FOLDER.test(group.folder)) throw new Error(`Refusing to spawn: bad group folder ${group.folder}`);
  prepareGroup(group);
  writeContext(group, session);
  rmSync(join(sessionDir(session), '.heartbeat'), { force: true });
  const name = driver.containerName(session.id);
  const mounts = mountsOf(group, session);
  log.info('Spawning container', { session: session.id, name });
  running.set(session.id, name);
  const ended = closed(session, name, onExit);
  driver.launch(name, createArgs(group, session, mounts), mounts, ended).catch((error) => {
    log.error('Container spawn error', { session: session.id, error: error.message });
    ended(null);
  });
}

/** Takes over the containers that an earlier run of the host has left: they keep their image, user and mounts. */
export async function adopt(sessions, onExit) {
  for (const [name, id] of await driver.runningSessions()) {
    const session = sessions.get(id);
    if (!session) {
      log.warn('Stopping a container of no session', { name });
      await driver.stop(name);
      continue;
    }
    running.set(id, name);
    driver.follow(name, closed(session, name, onExit(session)));
    log.info('Adopted container', { session: id, name });
  }
}

export async function kill(session, reason) {
  const name = running.get(session.id);
  log.warn('Killing container', { session: session.id, name, reason });
  await driver.stop(name);
}
