// Runs one step of the setup: index.js --step NAME -- ARGUMENTS
import { gateway } from './gateways/gateway.js';

const STEPS = { gateway };

const [option, name, separator, ...args] = process.argv.slice(2);
if (option !== '--step' || !(name in STEPS) || (separator ?? '--') !== '--') {
  console.error('usage: setup/index.ts --step gateway -- KIND');
  process.exitCode = 2;
} else if (!STEPS[name](args)) {
  process.exitCode = 1;
}
