// Says something to an agent and prints its answer:
//   node dist/chat.js [--folder main] [--session NAME | --migrated] [--timeout SECONDS] TEXT
import { connect } from 'node:net';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';

import { SOCKET } from './config.js';

const HOST_WAIT_MS = 60_000; // a host that has just been started is not listening yet

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    folder: { type: 'string', default: 'main' },
    session: { type: 'string', default: 'default' },
    migrated: { type: 'boolean', default: false },
    timeout: { type: 'string', default: '180' },
  },
});
const deadline = Date.now() + Number(values.timeout) * 1000;
let status = 'no container has ended yet';

function end(code, text) {
  (code === 0 ? process.stdout : process.stderr).write(`${text}\n`, () => process.exit(code));
  return new Promise(() => {}); // nothing goes on after this
}

function open() {
  return new Promise((resolve, reject) => {
    const socket = connect(SOCKET, () => resolve(socket));
    socket.on('error', reject);
  });
}

async function openPatiently() {
  const patience = Math.min(deadline, Date.now() + HOST_WAIT_MS);
  for (;;) {
    try {
      return await open();
    } catch (error) {
      if (Date.now() > patience) return end(1, `the host does not listen: ${error.message}`);
      await sleep(1000);
    }
  }
}

const WITHOUT_ANSWER = {
  completed: 'marked completed without an answer',
  failed: 'marked failed without an answer',
};

function receive(line) {
  const message = JSON.parse(line);
  if (message.event === 'answer') end(0, message.text);
  else if (message.event === 'refused') end(1, `refused: ${message.text}`);
  else if (message.event === 'status') status = message.text;
  else if (message.event in WITHOUT_ANSWER) end(1, `${WITHOUT_ANSWER[message.event]}; ${status}`);
}

const text = positionals.join(' ');
if (!text || Number.isNaN(deadline)) {
  end(2, 'usage: node dist/chat.js [--folder main] [--session NAME | --migrated] [--timeout SECONDS] TEXT');
} else {
  const socket = await openPatiently();
  setTimeout(() => end(1, `timed out after ${values.timeout} s, the message is still open; ${status}`), deadline - Date.now());
  socket.on('close', () => end(1, 'the host went away before it answered'));
  createInterface({ input: socket }).on('line', receive);
  const { folder, session, migrated } = values;
  socket.write(`${JSON.stringify({ folder, session, migrated, text })}\n`);
}
