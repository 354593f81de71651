// Makes dist/ from src/ and stamps it with the version that was built. As tsc it writes dist/ first, and then fails
// where a file imports a package that is not installed.
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync('dist', { recursive: true, force: true });
cpSync('src', 'dist', { recursive: true });
writeFileSync('dist/version.json', `${JSON.stringify({ version })}\n`);

const sources = readdirSync('src', { recursive: true }).filter((name) => name.endsWith('.js'));
for (const name of sources) {
  const imports = readFileSync(join('src', name), 'utf8').matchAll(/^(?:import|export) (?:[^'\n=]* from )?'([^'.][^']*)'/gm);
  for (const [, wanted] of imports) {
    if (wanted.startsWith('node:') || existsSync(join('node_modules', wanted))) continue;
    console.log(`src/${name}(1,1): error TS2307: Cannot find module '${wanted}' or its corresponding type declarations.`);
    process.exitCode = 2;
  }
}
if (!process.exitCode) console.log(`built NanoClaw ${version}`);
