// Sends one command to the host through data/ncl.sock and prints its reply.
import { connect } from 'node:net';

import { NCL_SOCKET } from './socket-server.js';

const socket = connect(NCL_SOCKET, () => socket.write(`${JSON.stringify({ command: process.argv.slice(2) })}\n`));
let text = '';
socket.setEncoding('utf8').on('data', (part) => (text += part));
socket.on('error', (error) => {
  console.error(`the host does not listen: ${error.message}`);
  process.exitCode = 1;
});
socket.on('end', () => {
  const { error, rows = [] } = JSON.parse(text);
  if (error) console.error(error);
  process.exitCode = error ? 1 : 0;
  for (const row of rows) console.log(Object.values(row).join('\t'));
});
