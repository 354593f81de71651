// What could not be applied stays half applied, as with the real one. Nobody is asked anything: there is no terminal.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { applySkill } from './skill-apply.js';
import { parseDirectives } from './skill-document.js';

/** Applies a skill and prints the report; whether all of it is applied. */
export function drive(directory, { json = false } = {}) {
  const directives = parseDirectives(readFileSync(join(directory, 'SKILL.md'), 'utf8'));
  const { tasks, deferred } = applySkill(directory, directives);
  const status = tasks.length + deferred.length === 0 ? 'success' : 'failed';
  if (json) {
    console.log(JSON.stringify({ skill: directory, status, deferred, agentTasks: tasks }, null, 2));
  } else {
    for (const { kind, reason } of tasks) console.log(`│ ▲  Needs an agent (${kind}): ${reason}`);
    if (deferred.length > 0) console.log(`│ ▲  No value yet for: ${deferred.join(', ')}`);
    console.log(`=== NANOCLAW SETUP: SKILL_APPLY ===\nSTATUS: ${status}\n=== END ===`);
  }
  return status === 'success';
}
