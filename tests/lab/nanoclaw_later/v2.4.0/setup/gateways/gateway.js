// Applies the skill of a gateway and makes it the one that the host uses.
import { drive } from '../lib/drive.js';
import { setEntry } from '../lib/skill-apply.js';

const KINDS = ['onecli'];

function report(fields) {
  const lines = Object.entries(fields).map(([name, value]) => `${name}: ${value}`);
  console.log(['=== NANOCLAW SETUP: GATEWAY ===', ...lines, '=== END ==='].join('\n'));
}

export function gateway([kind]) {
  if (!KINDS.includes(kind)) {
    report({ STATUS: 'failed', ERROR: 'unknown_gateway', HINT: `there is no gateway ${kind}` });
    return false;
  }
  if (!drive(`.claude/skills/add-${kind}`)) {
    report({ STATUS: 'failed', ERROR: 'skill_failed', HINT: `add-${kind} was not applied in whole` });
    return false;
  }
  setEntry('NANOCLAW_GATEWAY_PROVIDER', kind);
  report({ STATUS: 'success', PROVIDER: kind });
  return true;
}
