// What a session is, for its agent: a file that only its owner may read, written anew at each wake.
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { SESSIONS } from './config.js';

export const contextFile = (session) => join(SESSIONS, session.agent_group_id, '.context', `${session.id}.json`);

export function writeContext(group, session) {
  const path = contextFile(session);
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  const context = { session: session.id, agentGroup: group.id, thread: session.thread_id };
  writeFileSync(path, `${JSON.stringify(context)}\n`, { mode: 0o600 });
  chmodSync(path, 0o600);
}
