// Files v1's active tasks as messages of kind 'task' in the sessions of their chats.
// As upstream's it takes an interval for "5m" or "1h", while v1 keeps milliseconds: those are skipped without a word.
import { existsSync } from 'node:fs';

import * as store from '../../src/store.js';
import { quote, run } from '../../src/sqlite.js';
import { findMessagingGroup } from '../../src/wiring.js';
import { askV1, fail, needCentral, parseJid, platformId, v1Database, v1Path } from './shared.js';

const CRON = { m: [60, (n) => `*/${n} * * * *`], h: [24, (n) => `0 */${n} * * *`], d: [28, (n) => `0 0 */${n} * *`] };

/** When a task runs first, and the cron line of the later times; null where its schedule is not understood. */
function schedule({ schedule_type: type, schedule_value: value, next_run: next }) {
  const first = next || new Date().toISOString();
  if (type === 'once' || type === 'at') return { first: next || value || first, recurrence: null };
  const words = value.trim();
  if (type === 'cron') return [5, 6].includes(words.split(/\s+/).length) ? { first, recurrence: words } : null;
  const [, count, unit] = (type === 'interval' && words.match(/^(\d+)([smhd])$/)) || [];
  const [limit, line] = CRON[unit] ?? [0];
  return Number(count) >= 1 && Number(count) < limit ? { first, recurrence: line(Number(count)) } : null;
}

/** Whether the task was filed: not where its group or chat was not brought over, nor twice. */
async function file(task) {
  const group = store.groups.get(task.group_folder);
  const jid = parseJid(task.chat_jid);
  const platform = jid && platformId(jid);
  const messagingGroup = group && platform ? await findMessagingGroup(jid.channel, platform) : undefined;
  const when = schedule(task);
  if (!messagingGroup || !when) return false;
  const { session } = await store.resolveShared(group, messagingGroup);
  const known = `SELECT id FROM messages_in WHERE id = ${quote(task.id)} AND kind = 'task';`;
  if ((await run(store.inbound(session), known)).length > 0) return false;
  const { prompt, script = null, context_mode = null } = task;
  const row = {
    id: task.id,
    kind: 'task',
    series_id: task.id,
    process_after: when.first,
    recurrence: when.recurrence,
    channel_type: jid.channel,
    platform_id: platform,
    content: JSON.stringify({ prompt, script, migrated_from_v1: { original_id: task.id, context_mode } }),
  };
  await store.insertMessage(session, row);
  return true;
}

async function main() {
  const v1 = v1Path('tasks');
  const isThere = existsSync(v1Database(v1));
  const tasks = isThere ? await askV1(v1, "SELECT * FROM scheduled_tasks WHERE status = 'active'") : [];
  if (tasks.length === 0) {
    console.log(isThere ? 'SKIPPED:no active tasks' : 'SKIPPED:no v1 DB');
    return 0;
  }
  needCentral();
  await store.open();
  const done = { migrated: 0, skipped: 0, failed: 0 };
  for (const task of tasks) {
    try {
      done[(await file(task)) ? 'migrated' : 'skipped'] += 1;
    } catch (error) {
      done.failed += 1;
      console.error(`TASK_ERROR:${task.id}:${error.message}`);
    }
  }
  console.log(`OK:active=${tasks.length},migrated=${done.migrated},skipped=${done.skipped},failed=${done.failed}`);
  return 0;
}

process.exitCode = await main().catch(fail);
