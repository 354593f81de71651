// When a task runs next: cron (five fields, local time), interval (milliseconds), once (never again).
const RANGES = [[0, 59], [0, 23], [1, 31], [1, 12], [0, 7]];

function parseField(text, [low, high]) {
  const allowed = new Set();
  for (const part of text.split(',')) {
    const match = part.match(/^(?:\*|(\d+)(?:-(\d+))?)(?:\/(\d+))?$/);
    if (!match) throw new Error(`bad cron field ${text}`);
    const [, from, to, step] = match.map((word) => (word === undefined ? undefined : Number(word)));
    const last = to ?? (from === undefined || step ? high : from);
    for (let value = from ?? low; value <= last; value += step || 1) allowed.add(value);
  }
  if ([...allowed].some((value) => value < low || value > high)) throw new Error(`bad cron field ${text}`);
  return allowed;
}

/** The first minute after `now` that a cron line names. */
export function nextCron(line, now) {
  const words = line.trim().split(/\s+/);
  if (words.length !== 5) throw new Error(`bad cron line ${line}`);
  const [minutes, hours, days, months, weekdays] = words.map((word, index) => parseField(word, RANGES[index]));
  if (weekdays.has(7)) weekdays.add(0);
  // As cron has it: where both kinds of day are named, either will do.
  const either = !words[2].startsWith('*') && !words[4].startsWith('*');
  const isDay = (at) => {
    const [day, weekday] = [days.has(at.getDate()), weekdays.has(at.getDay())];
    return months.has(at.getMonth() + 1) && (either ? day || weekday : day && weekday);
  };
  const at = new Date(now);
  at.setSeconds(0, 0);
  at.setMinutes(at.getMinutes() + 1);
  const end = new Date(now).setFullYear(at.getFullYear() + 5);
  while (at < end) {
    if (!isDay(at)) at.setHours(24, 0, 0, 0);
    else if (!hours.has(at.getHours())) at.setHours(at.getHours() + 1, 0, 0, 0);
    else if (!minutes.has(at.getMinutes())) at.setMinutes(at.getMinutes() + 1);
    else return at;
  }
  throw new Error(`cron line ${line} names no minute of the next five years`);
}

/** The next run as ISO text, null for never. An interval counts from the run that was due and skips what was missed. */
export function nextRun({ schedule_type: type, schedule_value: value, next_run: due }, now = Date.now()) {
  if (type === 'once') return null;
  if (type === 'cron') return nextCron(value, now).toISOString();
  const ms = parseInt(value, 10);
  if (!(ms > 0)) return new Date(now + 60_000).toISOString();
  const missed = Math.floor(Math.max(0, now - Date.parse(due)) / ms);
  return new Date(Date.parse(due) + (missed + 1) * ms).toISOString();
}
