// The host: finds new messages in store/messages.db, has agents answer them, runs what is due.
import { POLL_MS, ROOT, SCHEDULER_MS, VERSION } from './config.js';
import * as agents from './agents.js';
import * as containers from './containers.js';
import { log } from './log.js';
import { prepare } from './schema.js';
import * as store from './store.js';

let stopping = false;

async function messageLoop() {
  await agents.serial('Message loop', async () => agents.serve(await store.pending(), await store.groups()));
  if (!stopping) setTimeout(messageLoop, POLL_MS);
}

async function schedulerLoop() {
  await agents.serial('Scheduler', async () => {
    const groups = await store.groups();
    for (const task of await store.dueTasks()) await agents.runTask(task, groups);
  });
  if (!stopping) setTimeout(schedulerLoop, SCHEDULER_MS);
}

/** Containers stay: they finish what they do, and the next start stops those that are left. */
async function shutdown(signal) {
  stopping = true;
  log.info('Shutdown signal received', { signal });
  await agents.serial('Shutdown', () => {});
  process.exit(0);
}

async function main() {
  for (const signal of ['SIGTERM', 'SIGINT']) process.on(signal, shutdown);
  log.info('NanoClaw starting', { version: VERSION, root: ROOT, uid: process.getuid() });
  await containers.ensureRuntime();
  await containers.stopOrphans();
  await agents.serial('Database', prepare);
  log.info('State loaded', { groupCount: (await store.groups()).length });
  messageLoop();
  schedulerLoop();
  log.info('NanoClaw running');
}

main().catch((error) => {
  log.fatal('Failed to start NanoClaw', { error: error.message });
  process.exit(1);
});
