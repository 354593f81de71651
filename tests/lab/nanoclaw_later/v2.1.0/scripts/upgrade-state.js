// Sets and shows the marker of an upgrade: upgrade-state.js set [VERSION] [VIA] | get
import { read, write } from '../src/upgrade-state.js';

const [action, version, via] = process.argv.slice(2);
if (action === 'set') write(version || undefined, via || 'manual');
else if (action !== 'get') process.exit(2);
console.log(JSON.stringify(read()));
