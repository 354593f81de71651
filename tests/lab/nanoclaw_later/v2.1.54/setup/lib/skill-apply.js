// What each directive of a skill does to the checkout. Each may be repeated.
import { execFileSync } from 'node:child_process';
import { appendFileSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const read = (path) => (existsSync(path) ? readFileSync(path, 'utf8') : '');
const run = (program, args, options) => execFileSync(program, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });

function write(path, content) {
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, content);
}

function addLine(path, line) {
  const text = read(path);
  if (text.split('\n').includes(line)) return;
  appendFileSync(path, `${text && !text.endsWith('\n') ? '\n' : ''}${line}\n`);
}

/** The value that .env has for an entry, or an empty text. */
export function entry(name) {
  const lines = read('.env').split('\n').filter((line) => line.startsWith(`${name}=`));
  return lines.length > 0 ? lines.at(-1).slice(name.length + 1) : '';
}

export function setEntry(name, value) {
  const others = read('.env').split('\n').filter((line) => line && !line.startsWith(`${name}=`));
  writeFileSync('.env', `${[...others, `${name}=${value}`].join('\n')}\n`, { mode: 0o600 });
}

const HANDLERS = {
  copy({ attributes, lines }, { directory }) {
    const branch = attributes['from-branch'];
    if (branch) run('git', ['fetch', 'origin', branch]);
    for (const line of lines) {
      const [source, target = source] = line.split(' -> ');
      if (branch) write(target, run('git', ['show', `origin/${branch}:${source}`]));
      else cpSync(join(directory, source), target, { recursive: true });
    }
  },
  append({ attributes, lines }) {
    for (const line of lines) addLine(attributes.to, line);
  },
  dep({ lines }) {
    const manifest = JSON.parse(read('package.json'));
    for (const line of lines) {
      const [, name, version] = /^(@?[^@]+)@(\d+\.\d+\.\d+)$/.exec(line) ?? [];
      if (!name) throw new Error(`${line} has no exact version`);
      manifest.dependencies[name] = version;
    }
    writeFileSync('package.json', `${JSON.stringify(manifest, null, 2)}\n`);
    run('pnpm', ['install', '--no-frozen-lockfile']);
  },
  run({ lines }) {
    for (const line of lines) run('sh', ['-c', line], { stdio: ['ignore', 'inherit', 'inherit'] });
  },
  prompt({ words: [name] }, { values }) {
    values.set(name, '');
  },
  'env-set'({ lines }, { values, deferred }) {
    for (const line of lines) {
      const [key, template] = line.split(/=(.*)/s);
      const [, name] = /^\{\{(\w+)\}\}$/.exec(template) ?? [];
      const value = name ? values.get(name) || entry(key) : template;
      if (value) setEntry(key, value);
      else deferred.push(name);
    }
  },
  operator({ lines }) {
    console.log(lines.join('\n'));
  },
};

/** Applies the directives of a skill; what is left is `tasks` for an agent and `deferred` inputs. */
export function applySkill(directory, directives) {
  const context = { directory, values: new Map(), deferred: [] };
  const tasks = [];
  for (const directive of directives) {
    const handler = HANDLERS[directive.kind];
    try {
      if (!handler) throw new Error('no program applies this directive');
      handler(directive, context);
    } catch (error) {
      const output = `${error.stdout ?? ''}${error.stderr ?? ''}`.trim().split('\n').at(-1);
      tasks.push({ kind: directive.kind, reason: output || error.message.split('\n')[0] });
    }
  }
  return { tasks, deferred: context.deferred };
}
