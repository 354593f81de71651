// Finds a OneCLI that serves /v1 and writes its address to .env. The real one installs a server where none is named.
import { entry, setEntry } from '../../../../setup/lib/skill-apply.js';

const server = process.env.NANOCLAW_ONECLI_API_HOST || entry('ONECLI_URL');
const token = process.env.NANOCLAW_ONECLI_API_TOKEN;

async function check() {
  if (!server) throw new Error('no OneCLI is named, and this machine reaches no installer');
  const answer = await fetch(`${server}/v1/health`, { signal: AbortSignal.timeout(10_000) });
  if (answer.status !== 200) throw new Error(`${server}/v1/health answers ${answer.status}`);
  setEntry('ONECLI_URL', server);
  if (token) setEntry('ONECLI_API_KEY', token);
}

check().catch((error) => {
  console.error(`OneCLI: ${error.cause?.code ?? error.message}`);
  process.exitCode = 1;
});
