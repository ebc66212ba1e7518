import type { Compute } from '../api/compute.ts';
import { RunyardError } from '../api/errors.ts';
import { checkOptions } from '../runs/configuration/slurm.ts';
import type { Handlers } from './router.ts';
import type { RunyardServer } from './server.ts';

type ComputeRoute = Extract<
  keyof Handlers,
  `${string}Compute${string}` | `${string}Prompt${string}` | 'forgetSecrets'
>;

/** Compute targets, and the questions of their hosts. */
export function computeHandlers(server: RunyardServer): Pick<Handlers, ComputeRoute> {
  const { hosts, prompts } = server;
  const activeRuns = (name: string) =>
    server.openServices.reduce((sum, service) => sum + service.activeRunsOn(name), 0);
  const describe = async (name: string): Promise<Compute> => ({
    ...(await hosts.describe(name)),
    activeRuns: activeRuns(name),
  });

  return {
    listComputes: async () => {
      const computes = await hosts.list();
      return { computes: computes.map((one) => ({ ...one, activeRuns: activeRuns(one.name) })) };
    },
    addCompute: async ({ body }) => {
      // Else it is only said when a run goes there.
      checkOptions(body.slurm ?? {});
      await hosts.add(body);
      return describe(body.name);
    },
    getCompute: ({ params }) => describe(params['compute']!),
    updateCompute: async ({ params, body }) => {
      const name = params['compute']!;
      checkOptions(body.slurm ?? {});
      await server.workspaces.openAll();
      await hosts.update(name, body, activeRuns(name));
      return describe(name);
    },
    removeCompute: async ({ params, query }) => {
      const name = params['compute']!;
      hosts.get(name);
      await server.workspaces.openAll();
      const active = activeRuns(name);
      if (active > 0) {
        throw new RunyardError(
          'conflict',
          `"${name}" has ${active} active ${active === 1 ? 'run' : 'runs'}.`,
          {
            action: 'Wait for them, or cancel them first.',
          },
        );
      }
      const left = server.openServices.flatMap((service) => service.runsOnlyOn(name));
      if (left.length > 0 && query.force !== 'true') {
        throw new RunyardError(
          'conflict',
          `Outputs of ${left.length} ${left.length === 1 ? 'run' : 'runs'} exist only on "${name}": ${left.slice(0, 5).join(', ')}${left.length > 5 ? ', ...' : ''}.`,
          {
            action:
              'Fetch them first (runyard run fetch RUN), or remove the target all the same with --force.',
          },
        );
      }
      await hosts.remove(name);
      return {};
    },
    connectCompute: async ({ params, body }) => {
      const name = params['compute']!;
      await hosts.connect(name, body);
      return describe(name);
    },
    testCompute: ({ params, body }) => hosts.test(params['compute']!, body),
    cleanCompute: ({ params }) => hosts.clean(params['compute']!),
    listComputeCandidates: async ({ query }) => ({ candidates: await hosts.candidates(query.configFile) }),
    forgetSecrets: ({ body }) => {
      hosts.forgetSecrets(body.keys);
      return {};
    },
    listPrompts: () => ({ prompts: prompts.list() }),
    answerPrompt: ({ params, body }) => {
      prompts.answer(params['prompt']!, body);
      return {};
    },
  };
}
