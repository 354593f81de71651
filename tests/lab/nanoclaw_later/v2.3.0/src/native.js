// The database's native module ends the process on a Node that it was not built for.
import Database from 'better-sqlite3';

export function checkNative() {
  new Database(':memory:').close();
}
