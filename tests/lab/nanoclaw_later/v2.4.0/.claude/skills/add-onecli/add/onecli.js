// OneCLI as the gateway: a credential stub for agents, named by its content, of the host alone.
import { createHash } from 'node:crypto';
import { existsSync, lstatSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

import { API } from '@onecli-sh/sdk';

import { DATA } from '../config.js';
import { registerGatewayProvider } from './gateway-provider-registry.js';

const DIRECTORY = join(DATA, 'onecli');
const STUB = `${JSON.stringify({ api: API, token: 'stub' })}\n`;

function assertOwn(path, mode) {
  const found = lstatSync(path);
  if (found.uid === process.getuid() && (found.mode & 0o777) === mode) return;
  throw new Error(`Credential stub ${path} has another owner or mode`);
}

function mounts() {
  const stub = join(DIRECTORY, `${createHash('sha256').update(STUB).digest('hex').slice(0, 16)}.json`);
  mkdirSync(DIRECTORY, { recursive: true, mode: 0o700 });
  if (!existsSync(stub)) writeFileSync(stub, STUB, { mode: 0o600 });
  assertOwn(DIRECTORY, 0o700);
  assertOwn(stub, 0o600);
  return [[stub, '/app/.onecli.json', 'ro']];
}

registerGatewayProvider('onecli', { mounts });
