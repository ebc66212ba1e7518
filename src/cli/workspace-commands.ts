import type { Command } from 'commander';
import { formatTime, print, table } from './output.ts';
import type { Register } from './register.ts';

/** `runyard workspace ...`, `runyard experiment ...` */
export function addWorkspaceCommands(program: Command, register: Register): void {
  const workspace = program.command('workspace').description('Workspaces: where everything is kept');
  register(workspace.command('list').description('All workspaces'), async (context) => {
    const { workspaces } = await context.client.call('listWorkspaces');
    print(context.json, workspaces, () =>
      table(
        ['', 'WORKSPACE', 'FOLDER', 'PROBLEM'],
        workspaces.map((one) => [one.current ? '*' : ' ', one.name, one.path, one.problem ?? '']),
      ),
    );
  });
  register(
    workspace.command('create').argument('<name>').description('Create a workspace'),
    async (context, [name]) => {
      const created = await context.client.call('createWorkspace', { body: { name: name! } });
      print(context.json, created, () => `created ${created.name} in ${created.path}`);
    },
  );
  register(
    workspace.command('use').argument('<name>').description('Make a workspace the current one'),
    async (context, [name]) => {
      const used = await context.client.call('useWorkspace', { params: { workspace: name! } });
      print(context.json, used, () => `using ${used.name}`);
    },
  );
  register(
    workspace.command('delete').argument('<name>').description('Delete a workspace and everything in it'),
    async (context, [name]) => {
      await context.client.call('deleteWorkspace', { params: { workspace: name! } });
      print(context.json, { deleted: name }, () => `deleted ${name}`);
    },
  );

  const experiment = program.command('experiment').description('Experiments: runs that belong together');
  register(experiment.command('list').description('Experiments, the latest run first'), async (context) => {
    const { experiments } = await context.client.call('listExperiments', { params: await context.params() });
    print(context.json, experiments, () =>
      table(
        ['EXPERIMENT', 'RUNS', 'ACTIVE', 'LAST RUN'],
        experiments.map((one) => [
          one.name,
          String(one.runs),
          String(one.activeRuns),
          formatTime(one.lastRunAt),
        ]),
      ),
    );
  });
  register(
    experiment.command('delete').argument('<name>').description('Delete an experiment with its runs'),
    async (context, [name]) => {
      await context.client.call('deleteExperiment', { params: await context.params({ experiment: name! }) });
      print(context.json, { deleted: name }, () => `deleted ${name}`);
    },
  );
}
