// SQLite as v1 has it: within the host, so that a stop never leaves a journal behind.
import { quote, run as start } from './sqlite.js';

export { quote };

// systemd ends all processes of a unit at once: this one goes on until it is done.
const UNTIL_DONE = ['sh', '-c', "trap '' TERM INT; exec sqlite3 \"$@\"", 'sqlite3'];

/** Runs `sql` on `path`; the rows of its only SELECT come back as objects. */
export const run = (path, sql) => start(path, sql, UNTIL_DONE);

export const transaction = (path, ...statements) => run(path, `BEGIN IMMEDIATE;\n${statements.join('\n')}\nCOMMIT;`);
