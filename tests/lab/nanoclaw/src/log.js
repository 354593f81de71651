// One line an event: up to info on stdout (logs/nanoclaw.log), the rest on stderr (logs/nanoclaw.error.log).
const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'];
const threshold = LEVELS.indexOf(process.env.LOG_LEVEL || 'info');

function write(level, message, fields = {}) {
  const rank = LEVELS.indexOf(level);
  if (rank < threshold) return;
  const stream = rank >= LEVELS.indexOf('warn') ? process.stderr : process.stdout;
  const extra = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  stream.write(`${new Date().toISOString()} ${level.toUpperCase()} ${message}${extra.join('')}\n`);
}

export const log = Object.fromEntries(LEVELS.map((level) => [level, write.bind(null, level)]));
