// One container a group at a time: messages go into the one that runs, a task waits for one of its own.
import * as containers from './containers.js';
import { ASSISTANT, IDLE_MS } from './config.js';
import { log } from './log.js';
import { nextRun } from './schedule.js';
import * as store from './store.js';

const BACKOFF_MS = 5_000;

// folder -> { open: messages without an answer, known: ids of all it was given, closing, task, idle: timer }
const running = new Map();
const failures = new Map(); // folder -> { count, until }

/** Writes to the database come one after the other; the last of them is what a stop waits for. */
let last = Promise.resolve();
export function serial(what, work) {
  last = last.then(work).catch((error) => log.error(`${what} failed`, { error: error.message }));
  return last;
}

function input(group, prompt, sessionId, isScheduledTask) {
  const about = { groupFolder: group.folder, chatJid: group.jid, isMain: group.isMain, assistantName: ASSISTANT };
  return { prompt, sessionId, ...about, isScheduledTask };
}

function answered(group, state, output) {
  const message = state.open[0];
  if (output.status !== 'success' || !message) return;
  state.open.shift();
  serial('Answer', async () => {
    await store.recordAnswer(message, output.result, output.newSessionId);
    failures.delete(group.folder);
    log.info('Message answered', { group: group.folder, message: message.id });
  });
  clearTimeout(state.idle);
  if (state.open.length === 0) state.idle = setTimeout(() => close(group, state), IDLE_MS);
}

/** Nothing is said to an agent after that: it might not read it any more. */
function close(group, state) {
  clearTimeout(state.idle);
  state.closing = true;
  containers.close(group);
}

/** What a container leaves unanswered is still after the cursor: it is found again, after a pause that grows. */
function ended(group, state, code) {
  clearTimeout(state.idle);
  if (state.open.length > 0 && code !== 0) {
    const count = (failures.get(group.folder)?.count ?? 0) + 1;
    failures.set(group.folder, { count, until: Date.now() + BACKOFF_MS * 2 ** (count - 1) });
  }
  serial('End', () => running.delete(group.folder)); // after the answers of this container are recorded
}

/** Hands pending messages, oldest first, to the agents of their groups. */
export async function serve(messages, groups) {
  for (const group of groups) {
    const state = running.get(group.folder);
    const known = new Set(state?.known);
    const fresh = messages.filter(({ jid, id }) => jid === group.jid && !known.has(id));
    const paused = (failures.get(group.folder)?.until ?? 0) > Date.now();
    if (fresh.length === 0 || paused || state?.task || state?.closing) continue;
    if (state) {
      for (const message of fresh) follow(group, state, message);
      continue;
    }
    containers.prepareGroup(group, await store.allTasks());
    const first = input(group, fresh[0].content, await store.sessionOf(group.folder), false);
    const opened = { open: [fresh[0]], known: [fresh[0].id] };
    running.set(group.folder, opened);
    const onOutput = (output) => answered(group, opened, output);
    containers.start(group, first, onOutput, (code) => ended(group, opened, code));
    for (const message of fresh.slice(1)) follow(group, opened, message);
  }
}

function follow(group, state, message) {
  clearTimeout(state.idle);
  state.open.push(message);
  state.known.push(message.id);
  containers.send(group, message.content);
}

/** Runs a due task unless its group is busy: then the container is asked to leave, and a later look finds the task. */
export async function runTask(task, groups) {
  const group = groups.find(({ folder }) => folder === task.group_folder);
  const state = running.get(task.group_folder);
  if (state) {
    if (!state.task && !state.closing && state.open.length === 0) close(group, state);
    return;
  }
  const startedAt = Date.now();
  let result = null;
  const record = (error) => store.recordRun(task, { startedAt, result, error, nextRun: nextRun(task) });
  if (!group) {
    await record(`Group not found: ${task.group_folder}`);
    return;
  }
  log.info('Running scheduled task', { taskId: task.id, group: group.folder });
  containers.prepareGroup(group, await store.allTasks());
  const session = task.context_mode === 'group' ? await store.sessionOf(group.folder) : undefined;
  running.set(group.folder, { open: [], known: [], task: true });
  containers.start(
    group,
    input(group, task.prompt, session, true),
    (output) => {
      if (output.status === 'success') result = output.result;
      containers.close(group);
    },
    (code, why) => {
      const error = code === 0 ? null : `Container exited with code ${code}: ${why}`;
      serial('Task', () => record(error)).then(() => running.delete(group.folder));
    },
  );
}
