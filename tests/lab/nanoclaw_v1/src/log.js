// One line an event, all on standard output as in v1: only what ends the process is on standard error.
const LEVELS = ['debug', 'info', 'warn', 'error', 'fatal'];
const threshold = LEVELS.indexOf(process.env.LOG_LEVEL || 'info');

function write(level, message, fields = {}) {
  const rank = LEVELS.indexOf(level);
  if (rank < threshold) return;
  const stream = level === 'fatal' ? process.stderr : process.stdout;
  const extra = Object.entries(fields).map(([key, value]) => ` ${key}=${JSON.stringify(value)}`);
  stream.write(`[${new Date().toISOString()}] ${level.toUpperCase()}: ${message}${extra.join('')}\n`);
}

export const log = Object.fromEntries(LEVELS.map((level) => [level, write.bind(null, level)]));
