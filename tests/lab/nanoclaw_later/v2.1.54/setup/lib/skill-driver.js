// Applies a skill to this checkout and reports what became of it: skill-driver.js DIRECTORY [--json]
import { drive } from './drive.js';

const [directory, ...options] = process.argv.slice(2);
if (!drive(directory, { json: options.includes('--json') })) process.exitCode = 1;
