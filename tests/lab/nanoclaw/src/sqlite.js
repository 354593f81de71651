// SQLite through its command line: one process a transaction, SQL by standard input.
import { spawn } from 'node:child_process';

// ms. Now and then the kernel repeats a LOCK over NFS without end (Linux 6.1: 750,000 in 15 minutes), until a SIGKILL.
// Longer than the grace period of a server that was started again (nfsd(7)).
const LONGEST = 150_000;

/** A value as an SQL literal. */
export function quote(value) {
  if (value === null || value === undefined) return 'NULL';
  if (typeof value === 'number') return String(value);
  return `'${String(value).replaceAll('\0', '').replaceAll("'", "''")}'`;
}

/** Attaches another database for reading only, as `name`. */
export function attachReadOnly(path, name) {
  return `ATTACH ${quote(`file:${encodeURI(path)}?mode=ro`)} AS ${name};\n`;
}

/** Runs `sql` on `path`; the rows of its only SELECT come back as objects. `command` is how sqlite3 is started. */
export function run(path, sql, command = ['sqlite3']) {
  return new Promise((resolve, reject) => {
    const [program, ...words] = [...command, '-batch', '-bail', '-json', '-cmd', '.timeout 30000', path];
    const child = spawn(program, words, { timeout: LONGEST, killSignal: 'SIGKILL' });
    let out = '';
    let err = '';
    child.stdout.setEncoding('utf8').on('data', (text) => (out += text));
    child.stderr.setEncoding('utf8').on('data', (text) => (err += text));
    child.stdin.on('error', () => {}); // it died early: its exit code and stderr say why
    child.on('error', reject);
    child.on('close', (code) => {
      if (code !== 0 || err) return reject(new Error(err.trim() || `sqlite3 exited with ${code}`));
      resolve(out.trim() ? JSON.parse(out) : []);
    });
    child.stdin.end(sql);
  });
}
