// The host has the contract of a gateway alone; a skill adds an implementation.
import { readFileSync } from 'node:fs';

const providers = new Map(); // kind -> { mounts(session) }
let chosen = null;

export function registerGatewayProvider(kind, provider) {
  providers.set(kind, provider);
}

function setting() {
  if (process.env.NANOCLAW_GATEWAY_PROVIDER) return process.env.NANOCLAW_GATEWAY_PROVIDER;
  try {
    return /^NANOCLAW_GATEWAY_PROVIDER=(.+)$/m.exec(readFileSync('.env', 'utf8'))?.[1];
  } catch {
    return undefined;
  }
}

/** Fails where no provider is registered, or where the setting names none of them. */
export function requireGateway() {
  if (providers.size === 0) throw new Error('No gateway provider is registered in this build');
  const kind = setting();
  if (!kind) throw new Error('NANOCLAW_GATEWAY_PROVIDER is not set: run the setup of a gateway');
  if (!providers.has(kind)) throw new Error(`No gateway provider ${kind} is registered in this build`);
  chosen = providers.get(kind);
}

/** What the gateway mounts into a container; it throws where its files are not as it has left them. */
export const gatewayMounts = () => chosen.mounts();
