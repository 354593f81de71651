// Containers: how they are called, what they mount, as whom they run, how one talks with them.
import { execFile, execFileSync, spawn } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { promisify } from 'node:util';

import { DATA, GROUPS, IMAGE, ROOT, TIMEZONE, since } from './config.js';
import { log } from './log.js';

const exec = promisify(execFile);
const docker = (...args) => exec('docker', args, { timeout: 120_000 });
const ipcDir = (group) => join(DATA, 'ipc', group.folder);
const sessionsDir = (group) => join(DATA, 'sessions', group.folder);

/** Fails where Docker does not answer: the host must not run without it. */
export async function ensureRuntime() {
  await docker('info');
}

/** By the name alone, as in v1: it stops what any NanoClaw of this machine has started, of version 2 too. */
export async function stopOrphans() {
  const { stdout } = await docker('ps', '--filter', 'name=nanoclaw-', '--format', '{{.Names}}');
  for (const name of stdout.split('\n').filter(Boolean)) {
    log.info('Stopping an orphaned container', { name });
    await docker('stop', '-t', '1', name).catch(() => {}); // it may have ended meanwhile
  }
}

/** Root and uid 1000 leave the image's own user in place; everybody else runs the container as themselves. */
export function userArgs(uid, gid) {
  if (uid === undefined || uid === 0 || uid === 1000) return [];
  return ['--user', `${uid}:${gid}`, '-e', 'HOME=/home/node'];
}

export function mounts(group) {
  const shared = join(GROUPS, 'global');
  const global = (mode) => (existsSync(shared) ? [[shared, '/workspace/global', ...mode]] : []);
  const project = [
    [ROOT, '/workspace/project', 'ro'],
    ...(existsSync(join(ROOT, '.env')) ? [['/dev/null', '/workspace/project/.env', 'ro']] : []),
    ...(since('1.2.53') ? [[join(ROOT, 'store'), '/workspace/project/store'], ...global([])] : []),
  ];
  return [
    ...(group.isMain ? project : global(['ro'])),
    [join(GROUPS, group.folder), '/workspace/group'],
    [join(sessionsDir(group), '.claude'), '/home/node/.claude'],
    [ipcDir(group), '/workspace/ipc'],
    [join(sessionsDir(group), 'agent-runner-src'), '/app/src'],
  ];
}

/** The group's directories, made where they are missing; skills are copied anew each time, the agent's code once. */
export function prepareGroup(group, tasks) {
  mkdirSync(join(GROUPS, group.folder, 'logs'), { recursive: true });
  const claude = join(sessionsDir(group), '.claude');
  mkdirSync(claude, { recursive: true });
  const settings = join(claude, 'settings.json');
  if (!existsSync(settings)) writeFileSync(settings, `${JSON.stringify({ env: {} }, null, 2)}\n`);
  cpSync(join(ROOT, 'container', 'skills'), join(claude, 'skills'), { recursive: true });
  const code = join(sessionsDir(group), 'agent-runner-src');
  const ours = join(ROOT, 'container', 'agent-runner', 'src');
  // A directory that is not a stand-in's is completed: trees made for tests have one without the agent's script.
  if (!existsSync(join(code, 'agent.sh'))) cpSync(ours, code, { recursive: true });
  for (const name of ['messages', 'tasks', 'input']) mkdirSync(join(ipcDir(group), name), { recursive: true });
  // What an agent that was killed did not read is said again, because nobody has answered it.
  for (const name of readdirSync(join(ipcDir(group), 'input'))) rmSync(join(ipcDir(group), 'input', name));
  const visible = tasks.filter((task) => group.isMain || task.group_folder === group.folder);
  writeFileSync(join(ipcDir(group), 'current_tasks.json'), JSON.stringify(visible, null, 2));
  if (process.getuid?.() === 0) [claude, ipcDir(group)].forEach(giveAway);
}

/** What v1 leaves to whoever runs it as root: what the image's user writes has to belong to it. */
function giveAway(dir) {
  if (statSync(dir).uid === 0) execFileSync('chown', ['-hR', '1000:1000', dir]);
}

/** Says something to the agent of a group that runs; the name appears only when the text is whole. */
export function send(group, text) {
  const name = join(ipcDir(group), 'input', `${Date.now()}-${process.hrtime.bigint()}.json`);
  writeFileSync(`${name}.tmp`, JSON.stringify({ type: 'message', text }));
  renameSync(`${name}.tmp`, name);
}

export function close(group) {
  writeFileSync(join(ipcDir(group), 'input', '_close'), '');
}

export function runArgs(name, group) {
  return [
    'run', '-i', '--rm', '--name', name, '-e', `TZ=${TIMEZONE}`,
    ...userArgs(process.getuid?.(), process.getgid?.()),
    ...mounts(group).flatMap((mount) => ['-v', mount.join(':')]),
    IMAGE,
  ];
}

/** Starts an agent with its first prompt. `onOutput` gets each answer, `onExit(code, why)` comes when it has ended. */
export function start(group, input, onOutput, onExit) {
  const startedAt = Date.now();
  const name = `nanoclaw-${group.folder.replaceAll(/[^A-Za-z0-9-]/g, '-')}-${startedAt}`;
  log.info('Spawning container agent', { group: group.folder, containerName: name });
  const child = spawn('docker', runArgs(name, group), { stdio: 'pipe' });
  child.stdin.on('error', () => {}); // it died early: its exit code and stderr say why
  child.stdin.end(JSON.stringify(input));
  let inside = false;
  createInterface({ input: child.stdout }).on('line', (line) => {
    if (line.startsWith('---NANOCLAW_OUTPUT_')) inside = line.includes('START');
    else if (inside) onOutput(JSON.parse(line));
  });
  const tail = [];
  createInterface({ input: child.stderr }).on('line', (line) => {
    if (tail.push(line) > 10) tail.shift();
  });
  child.on('error', (error) => tail.push(error.message));
  child.on('close', (code) => {
    const why = tail.join(' / ');
    const lines = ['=== Container Run Log ===', `Container: ${name}`, `Duration: ${Date.now() - startedAt}ms`];
    const file = `container-${new Date().toISOString().replaceAll(/[:.]/g, '-')}.log`;
    writeFileSync(join(GROUPS, group.folder, 'logs', file), [...lines, `Exit Code: ${code}`, ...tail, ''].join('\n'));
    log[code === 0 ? 'info' : 'error']('Container exited', { group: group.folder, code, stderr: why });
    onExit(code, why);
  });
}
