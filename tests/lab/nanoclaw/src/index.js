// The host: takes messages from data/cli.sock, wakes containers, delivers answers, sweeps.
import { chmodSync, existsSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import * as breaker from './breaker.js';
import './channels/index.js';
import { DELIVERY_MS, IMAGE, ROOT, SLUG, SOCKET, SWEEP_MS, version } from './config.js';
import { backfill } from './configs.js';
import * as containers from './containers.js';
import { migrateGroups, sessionDir } from './layout.js';
import { log } from './log.js';
import * as store from './store.js';

const CLAIM_STUCK_MS = 60_000;
const CEILING_MS = 30 * 60_000;

const waiting = new Map(); // message id -> { session, reply }
const seen = new Map(); // session id -> what its databases looked like when nothing was open

/** One after the other: a session is never made or inspected twice at a time. */
let last = Promise.resolve();
function serial(what, work) {
  last = last.then(work).catch((error) => log.error(`${what} failed`, { error: error.message }));
  return last;
}

function waitingFor(session) {
  return [...waiting].filter(([, waiter]) => waiter.session === session);
}

async function deliver(session) {
  const asked = waitingFor(session).map(([id]) => id);
  const state = await store.inspect(session, asked);
  for (const { inReplyTo, text } of state.answers) {
    log.info('Message delivered', { session: session.id, inReplyTo });
    waiting.get(inReplyTo)?.reply({ event: 'answer', text });
    waiting.delete(inReplyTo);
  }
  if (state.answers.length > 0) await store.markDelivered(session, state.answers.map(({ id }) => id));
  for (const { id, status } of state.messages) {
    if (status === 'pending' || !waiting.has(id)) continue;
    log.warn(`Message ${status} without an answer`, { session: session.id, message: id });
    waiting.get(id).reply({ event: status });
    waiting.delete(id);
  }
  return state;
}

/** What comes after the end of a session's container. */
const ended = (session) => (code) => {
  const text = `container exited with code ${code}`;
  for (const [, waiter] of waitingFor(session)) waiter.reply({ event: 'status', text });
  serial('Delivery', () => deliver(session));
};

function wake(session) {
  try {
    containers.wake(store.groupOf(session), session, ended(session));
  } catch (error) {
    log.warn('Container not started, the next sweep tries again', { session: session.id, error: error.message });
    for (const [, waiter] of waitingFor(session)) waiter.reply({ event: 'status', text: error.message });
  }
}

/** Changes with each write of either database; two stats instead of a process. */
function fingerprint(session) {
  const stat = (name) => statSync(join(sessionDir(session), name), { throwIfNoEntry: false })?.mtimeMs;
  return `${stat('inbound.db')} ${stat('outbound.db')}`;
}

async function sweepSession(session) {
  if (!existsSync(join(sessionDir(session), 'inbound.db'))) return; // its mount may be missing: make nothing
  const before = fingerprint(session);
  if (!containers.isRunning(session) && seen.get(session.id) === before) return;
  const { due, open, claims } = await deliver(session);
  if (due && !containers.isRunning(session)) wake(session);
  if (containers.isRunning(session)) {
    const beat = containers.heartbeat(session);
    const stuck = claims.some(({ since }) => Date.now() - since > CLAIM_STUCK_MS && beat <= since);
    const silent = beat > 0 && Date.now() - beat > CEILING_MS;
    if (!stuck && !silent) return;
    await containers.kill(session, stuck ? 'message claimed, then silence' : 'silent for too long');
    await store.releaseClaims(session);
  } else if (claims.length > 0) {
    await store.releaseClaims(session);
  } else if (!open) {
    seen.set(session.id, before);
  }
}

async function sweep() {
  for (const session of store.sessions.values()) await serial('Sweep', () => sweepSession(session));
  setTimeout(sweep, SWEEP_MS);
}

async function deliveryLoop() {
  for (const session of store.sessions.values()) {
    if (containers.isRunning(session)) await serial('Delivery', () => deliver(session));
  }
  setTimeout(deliveryLoop, DELIVERY_MS);
}

async function accept(line, reply) {
  try {
    const { folder, session: name, migrated, text } = JSON.parse(line);
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(folder)) throw new Error(`bad folder ${folder}`);
    const session = migrated ? store.migratedSession(folder) : await store.resolveSession(folder, name);
    await backfill(); // the group may be a new one
    waiting.set(await store.addMessage(session, text), { session, reply });
    reply({ event: 'accepted', session: session.id, agentGroup: session.agent_group_id });
    wake(session);
  } catch (error) {
    log.error('Message refused', { error: error.message });
    reply({ event: 'refused', text: error.message });
  }
}

function listen() {
  const server = createServer((socket) => {
    const reply = (message) => socket.writable && socket.write(`${JSON.stringify(message)}\n`);
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      for (const [id, waiter] of waiting) if (waiter.reply === reply) waiting.delete(id);
    });
    createInterface({ input: socket }).on('line', (line) => serial('Message', () => accept(line, reply)));
  });
  rmSync(SOCKET, { force: true });
  server.listen(SOCKET, () => chmodSync(SOCKET, 0o600));
}

/** Containers stay at a stop; the next start stops those that are left, as up to 2.2.0. From 2.3.0 they are adopted. */
function shutdown(signal) {
  log.info('Shutting down', { signal });
  rmSync(SOCKET, { force: true });
  breaker.reset();
  process.exit(0);
}

async function main() {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, shutdown);
  log.info('NanoClaw starting', { version: version(), root: ROOT, slug: SLUG, image: IMAGE, uid: process.getuid() });
  await breaker.enforce();
  mkdirSync(join(ROOT, 'logs'), { recursive: true });
  await store.open();
  migrateGroups();
  await backfill();
  await containers.ensureRuntime();
  await containers.stopOrphans();
  listen();
  deliveryLoop();
  sweep();
  log.info('NanoClaw running');
}

main().catch((error) => {
  log.fatal('Startup failed', { error: error.message });
  process.exit(1);
});
