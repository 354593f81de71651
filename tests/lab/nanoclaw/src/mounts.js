// Directories of the machine that a group's container may see beside its own: its config asks, a file in the home of
// who runs the host allows. Blocked are only the patterns that this file has; the real one adds its own list.
import { existsSync, readFileSync, realpathSync } from 'node:fs';
import { homedir } from 'node:os';
import { basename, isAbsolute, join, relative, resolve } from 'node:path';

import { log } from './log.js';

const ALLOWLIST = join(homedir(), '.config', 'nanoclaw', 'mount-allowlist.json');

const expanded = (path) => (/^~(\/|$)/.test(path) ? join(homedir(), path.slice(1)) : resolve(path));
const real = (path) => (existsSync(expanded(path)) ? realpathSync(expanded(path)) : null);

function holds(root, path) {
  const way = root === null ? '..' : relative(root, path);
  return !way.startsWith('..') && !isAbsolute(way);
}

/** The mount that a wish becomes; throws where it is not allowed. */
function allowed({ hostPath, containerPath = basename(hostPath), readonly }) {
  const { allowedRoots, blockedPatterns } = JSON.parse(readFileSync(ALLOWLIST, 'utf8'));
  if (!containerPath || isAbsolute(containerPath) || /\.\.|:/.test(containerPath)) throw new Error('bad containerPath');
  const source = real(hostPath);
  if (source === null) throw new Error('no such path');
  if (blockedPatterns.some((pattern) => source.includes(pattern))) throw new Error('blocked');
  const root = allowedRoots.find(({ path }) => holds(real(path), source));
  if (!root) throw new Error('under no allowed root');
  const writable = readonly === false && root.allowReadWrite === true;
  return [source, `/workspace/extra/${containerPath}`, ...(writable ? [] : ['ro'])];
}

export function additionalMounts(group) {
  return (group.config?.additionalMounts ?? []).flatMap((wish) => {
    try {
      return [allowed(wish)];
    } catch (error) {
      log.warn('Additional mount REJECTED', { group: group.folder, hostPath: wish.hostPath, reason: error.message });
      return [];
    }
  });
}
