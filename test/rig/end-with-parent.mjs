// Loaded into a server that a test starts: when the test's process is gone, however that came, the server and
// its whole group end.
import { setInterval } from 'node:timers';

const parent = Number(process.env.RUNYARD_RIG_PARENT);
// What the server starts in turn is not to load this.
delete process.env.RUNYARD_RIG_PARENT;
process.execArgv = process.execArgv.filter((argument) => !argument.includes('end-with-parent'));
if (process.ppid === parent) {
  setInterval(() => {
    if (process.ppid !== parent) process.kill(-process.pid, 'SIGKILL');
  }, 500).unref();
}
