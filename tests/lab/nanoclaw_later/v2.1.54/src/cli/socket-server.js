// data/ncl.sock: the host opens it last, when all the rest serves. A line of JSON has a command, and so has its reply.
import { chmodSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

import { DATA } from '../config.js';
import { groups } from '../store.js';

export const NCL_SOCKET = join(DATA, 'ncl.sock');

const COMMANDS = {
  'groups list': () => [...groups.values()].map(({ id, name, folder }) => ({ id, name, folder })),
};

function reply(line) {
  try {
    const command = JSON.parse(line).command.join(' ');
    return command in COMMANDS ? { rows: COMMANDS[command]() } : { error: `no command ${command}` };
  } catch (error) {
    return { error: error.message };
  }
}

export function serveCommands() {
  const server = createServer((socket) => {
    socket.on('error', () => socket.destroy());
    createInterface({ input: socket }).on('line', (line) => socket.end(`${JSON.stringify(reply(line))}\n`));
  });
  closeCommands();
  server.listen(NCL_SOCKET, () => chmodSync(NCL_SOCKET, 0o600));
}

export function closeCommands() {
  rmSync(NCL_SOCKET, { force: true });
}
