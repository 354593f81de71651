// Makes dist/ from src/ and stamps it with the version that was built.
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

const { version } = JSON.parse(readFileSync('package.json', 'utf8'));
rmSync('dist', { recursive: true, force: true });
cpSync('src', 'dist', { recursive: true });
writeFileSync('dist/version.json', `${JSON.stringify({ version })}\n`);
console.log(`built NanoClaw ${version}`);
