// Loads everywhere, and ends the process at the first database where Node is older than 22.14, as the real one does.
const [major, minor] = process.versions.node.split('.').map(Number);

module.exports = class Database {
  constructor() {
    if (major < 22 || (major === 22 && minor < 14)) process.kill(process.pid, 'SIGSEGV');
  }

  close() {}
};
