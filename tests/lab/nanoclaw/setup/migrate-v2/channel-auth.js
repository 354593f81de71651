// Copies what the named channels need to log in: keys of .env, and files.
// As upstream's it does not know store/auth, where v1 keeps WhatsApp's pairing.
import { copyFileSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

import { DATA, ROOT } from '../../src/config.js';

// keys: copied; required: MISSING where .env has them not; paths: copied. A channel that is not here needs nothing.
const CHANNELS = {
  telegram: {
    keys: ['TELEGRAM_BOT_TOKEN', 'TELEGRAM_API_ID', 'TELEGRAM_API_HASH'],
    required: ['TELEGRAM_BOT_TOKEN'],
    paths: ['data/sessions/telegram', 'store/telegram-session'],
  },
  whatsapp: {
    keys: ['WHATSAPP_PHONE', 'WHATSAPP_OWNER'],
    paths: [
      'data/sessions/baileys', 'data/baileys_auth', 'store/auth_info_baileys', 'store/baileys', 'auth_info_baileys',
    ],
  },
  discord: {
    keys: ['DISCORD_BOT_TOKEN', 'DISCORD_CLIENT_ID', 'DISCORD_GUILD_ID'],
    required: ['DISCORD_BOT_TOKEN', 'DISCORD_APPLICATION_ID', 'DISCORD_PUBLIC_KEY'],
  },
  slack: {
    keys: ['SLACK_BOT_TOKEN', 'SLACK_APP_TOKEN', 'SLACK_SIGNING_SECRET'],
    required: ['SLACK_BOT_TOKEN', 'SLACK_SIGNING_SECRET'],
  },
  matrix: {
    keys: ['MATRIX_HOMESERVER', 'MATRIX_USER_ID', 'MATRIX_ACCESS_TOKEN'],
    required: ['MATRIX_HOMESERVER', 'MATRIX_ACCESS_TOKEN'],
    paths: ['data/matrix-store', 'store/matrix', 'data/sessions/matrix'],
  },
  imessage: {
    keys: ['IMESSAGE_PHOTON_URL', 'IMESSAGE_PHOTON_TOKEN'],
    paths: ['data/imessage', 'store/imessage'],
  },
  gchat: {
    keys: ['GCHAT_SERVICE_ACCOUNT', 'GCHAT_WEBHOOK_URL'],
    paths: ['data/gchat-credentials.json', 'store/gchat-sa.json'],
  },
};
const OURS = join(ROOT, '.env');

function settings(file) {
  const lines = existsSync(file) ? readFileSync(file, 'utf8').split('\n') : [];
  return new Map(lines.map((line) => line.trim().match(/^([^#=\s]+)\s*=(.*)$/)?.slice(1)).filter(Boolean));
}

function addKeys(lines) {
  const text = existsSync(OURS) ? readFileSync(OURS, 'utf8') : '';
  const head = text && !text.endsWith('\n') ? `${text}\n` : text;
  if (lines.length > 0) writeFileSync(OURS, `${head}${lines.join('\n')}\n`);
  return lines.length;
}

/** How many files below `path` it copied: those that were not there. */
function copy(v1, path) {
  const [source, dest] = [join(v1, path), join(ROOT, path)];
  if (!existsSync(source)) return 0;
  if (statSync(source).isDirectory()) {
    mkdirSync(dest, { recursive: true });
    return readdirSync(source).reduce((files, name) => files + copy(v1, join(path, name)), 0);
  }
  if (existsSync(dest)) return 0;
  mkdirSync(dirname(dest), { recursive: true });
  copyFileSync(source, dest);
  return 1;
}

const [v1, ...channels] = process.argv.slice(2);
if (channels.length === 0) {
  console.error('usage: tsx setup/migrate-v2/channel-auth.ts V1 CHANNEL...');
  process.exit(1);
}
const theirs = settings(join(v1, '.env'));
const done = { keys: 0, files: 0 };
const missing = [];
for (const channel of channels) {
  const { keys = [], required = [], paths = [] } = CHANNELS[channel] ?? {};
  const before = settings(OURS);
  const wanted = keys.filter((key) => theirs.get(key) && !before.has(key));
  done.keys += addKeys(wanted.map((key) => `${key}=${theirs.get(key)}`));
  const after = settings(OURS);
  const lacking = required.filter((key) => !after.has(key));
  missing.push(...lacking.map((key) => `${channel}:${key} (from the pages of ${channel})`));
  for (const path of paths) done.files += copy(v1, path);
}
if (existsSync(OURS)) {
  mkdirSync(join(DATA, 'env'), { recursive: true });
  copyFileSync(OURS, join(DATA, 'env', 'env'));
}
console.log(`OK:channels=${channels.length},env_keys=${done.keys},files=${done.files}`);
if (missing.length > 0) console.log(`MISSING:${missing}`);
