import { createHash } from 'node:crypto';

/** The name that separates several installs on one machine. */
export function installSlug(root) {
  return createHash('sha1').update(root).digest('hex').slice(0, 8);
}
