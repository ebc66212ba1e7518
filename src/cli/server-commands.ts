import http from 'node:http';
import type { Command } from 'commander';
import { setTimeout as sleep } from 'node:timers/promises';
import { RunyardError } from '../api/errors.ts';
import { askServer } from '../client/launch.ts';
import { counted, print } from './output.ts';
import type { Register } from './register.ts';

const stopTimeoutMs = 60_000;

/** `runyard server ...` */
export function addServerCommands(program: Command, register: Register): void {
  const server = program.command('server').description('The server of this home; it is started by itself');
  register(server.command('start').description('Start it, unless it runs'), async (context) => {
    await context.client.ready();
    const info = await context.client.call('getServer');
    print(context.json, info, () => `serving ${info.home} as process ${info.pid}, version ${info.version}`);
  });
  register(server.command('status').description('Whether it runs'), async (context) => {
    const info = await askServer(context.client.home, new http.Agent());
    print(context.json, info ?? null, () =>
      info
        ? `serving ${info.home} as process ${info.pid}, version ${info.version}, ${counted(info.activeRuns, 'active run')}, ${Math.round(info.memoryBytes / 1e6)} MB`
        : `no server for ${context.client.home.dir}`,
    );
  });
  register(server.command('stop').description('End it; runs go on'), async (context) => {
    const agent = new http.Agent();
    const info = await askServer(context.client.home, agent);
    if (info) {
      await context.client.call('drainServer', { body: { reason: 'stopped from the command line' } });
      const deadline = Date.now() + stopTimeoutMs;
      while ((await askServer(context.client.home, agent))?.pid === info.pid) {
        if (Date.now() > deadline) {
          throw new RunyardError('unavailable', `The server (process ${info.pid}) does not end.`, {
            action: `End process ${info.pid}.`,
          });
        }
        await sleep(50);
      }
    }
    print(context.json, { stopped: info !== undefined }, () =>
      info ? `stopped process ${info.pid}` : 'no server runs',
    );
  });
}
