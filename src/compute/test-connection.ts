import { setTimeout as sleep } from 'node:timers/promises';
import type { ComputeSettings, ConnectionTest } from '../api/compute.ts';
import { canarySchema } from '../protocol/messages.ts';
import type { Connection, Host } from './host.ts';
import { Steps } from './steps.ts';
import { lookAtCluster, lookAtLoginNode } from './test-cluster.ts';

/** What a session leaves is ended within moments of its end. */
const survivalMs = 3000;
const littleRoom = 2_000_000_000;
const skewMs = 30_000;

/**
 * Connects anew and looks at everything a run needs. The last connection becomes the host's own where it has
 * none. `variables` are those of who asks, on this machine: they say which container engine is meant. Never throws: what fails is a step.
 */
export async function testConnection(
  host: Host,
  settings: ComputeSettings | null,
  variables?: Record<string, string>,
): Promise<ConnectionTest> {
  const steps = new Steps();
  let connection: Connection | undefined;
  try {
    connection = await host.openAnother(steps);
    const began = Date.now();
    const isCluster = settings?.scheduler === 'slurm';
    await lookAtHost(connection, began, steps, isCluster);
    if (isCluster)
      steps.done('engine', 'Container engine', {
        state: 'skipped',
        detail: 'Runs in images use what the nodes have: Apptainer, Singularity, or Podman.',
      });
    else await lookAtEngine(connection, steps, variables);
    if (settings) {
      await lookAtInterpreter(connection, settings, steps);
      // What a job needs goes on without us: the cluster starts it.
      if (isCluster) await lookAtCluster(connection, settings, steps);
      else {
        await lookAtLoginNode(connection, steps);
        connection = await lookAtSurvival(host, connection, settings, steps);
      }
    }
  } catch (error) {
    // A step that failed has said so; anything else is the line that broke.
    if (steps.all.at(-1)?.state !== 'failed') steps.failed('connection', 'Connection', error);
    host.note(error);
  }
  if (connection && !host.adopt(connection)) connection.channel.close();
  const ok = steps.all.every(({ state }) => state !== 'failed');
  // What needed a person may be mended.
  if (ok) host.retry();
  return { ok, steps: steps.all };
}

async function lookAtHost(
  { channel, hello }: Connection,
  began: number,
  steps: Steps,
  isCluster: boolean,
): Promise<void> {
  const { result } = await channel.request<{
    disk_free?: number;
    running: number;
    queued: number;
    slots: number;
  }>('host.load');
  const free = result.disk_free ?? 0;
  const queue = `${result.slots} ${result.slots === 1 ? 'run' : 'runs'} at a time; ${result.running} running, ${result.queued} waiting.`;
  if (free < littleRoom) {
    steps.done('room', 'Room', {
      state: 'warning',
      detail: `Only ${(free / 1e9).toFixed(1)} GB are free in ${hello.root}.`,
      action: 'Free some room there, or set the folder of this compute target to another disk.',
    });
  } else steps.done('room', 'Room', { detail: `${(free / 1e9).toFixed(1)} GB are free in ${hello.root}.` });
  if (!isCluster) steps.done('queue', 'Queue', { detail: queue });
  const time = hello.facts.time;
  if (typeof time === 'number' && Math.abs(time - began) > skewMs) {
    steps.done('clock', 'Clock', {
      state: 'warning',
      detail: `The host's clock is ${Math.round(Math.abs(time - began) / 1000)} s ${time > began ? 'ahead of' : 'behind'} this machine's; times of metrics are the host's.`,
      action: 'Let the host set its clock by NTP.',
    });
  }
}

/** Whether runs in images are possible: an engine that answers, and that sees this host's folders. */
async function lookAtEngine(
  { channel }: Connection,
  steps: Steps,
  variables: Record<string, string> | undefined,
): Promise<void> {
  const title = 'Container engine';
  const which = variables ? { variables } : {};
  const { result } = await channel.request<{
    kind: string | null;
    version: string | null;
    rootless: boolean;
    running: boolean;
    problem: string | null;
    action: string | null;
  }>('host.engine', which);
  const { kind, version, rootless, running, problem, action } = result;
  if (!running || kind === null) {
    // Whoever needs none is not to be held up by it.
    const detail = `${problem ?? 'There is no docker or podman.'} Runs in images are not possible here.`;
    steps.done('engine', title, { state: 'skipped', detail, action });
    return;
  }
  const canary = await channel.request<{ mounts: boolean; problem: string | null; action: string | null }>(
    'host.engine.canary',
    which,
  );
  if (canary.result.mounts) {
    const how = rootless ? ', rootless' : '';
    steps.done('engine', title, { detail: `${kind} ${version ?? ''}${how}; it sees the host's folders.` });
    return;
  }
  steps.done('engine', title, {
    state: 'warning',
    detail: canary.result.problem ?? "The engine does not see this host's folders.",
    action: canary.result.action,
  });
}

/** The Python that runs get, unless their configuration names another one. */
async function lookAtInterpreter(
  { channel }: Connection,
  { interpreter }: ComputeSettings,
  steps: Steps,
): Promise<void> {
  const asked = interpreter ?? 'python3';
  const { result } = await channel.request<{ executable: string | null; version: string | null }>(
    'host.interpreter',
    {
      interpreter: asked,
    },
  );
  if (result.version) {
    steps.done('interpreter', 'Python for runs', {
      detail: `Python ${result.version} (${result.executable}).`,
    });
    return;
  }
  steps.done('interpreter', 'Python for runs', {
    state: 'failed',
    detail: result.executable
      ? `${result.executable} cannot be run.`
      : `There is no ${asked} on the host${asked.includes('/') ? '' : "'s PATH"}.`,
    action: 'Set the interpreter of this compute target, or add set-up lines that bring one.',
  });
}

/** Whether a process goes on when its session ends; some hosts end it (KillUserProcesses of systemd-logind). */
async function lookAtSurvival(
  host: Host,
  first: Connection,
  settings: ComputeSettings,
  steps: Steps,
): Promise<Connection> {
  const title = 'Runs outlive the connection';
  const plain = await canary(first, 'process');
  const systemd = plain.systemd ? await canary(first, 'systemd') : undefined;
  first.channel.close();
  await sleep(survivalMs);
  const second = await host.openAnother(new Steps());
  const lives = await isAlive(second, plain);
  const livesBySystemd = systemd !== undefined && (await isAlive(second, systemd));
  if (settings.detach === 'process' ? lives : livesBySystemd) {
    const how = settings.detach === 'systemd' ? ' (systemd-run --user)' : '';
    steps.done('survival', title, { detail: `What is started goes on when the connection ends${how}.` });
  } else if (lives) {
    steps.done('survival', title, {
      state: 'failed',
      detail: '"systemd-run --user" does not keep processes on this host; plain ones go on.',
      action: 'Set detach of this compute target to "process".',
      fix: { detach: 'process' },
    });
  } else if (livesBySystemd) {
    steps.done('survival', title, {
      state: 'failed',
      detail:
        'The host ends what a session leaves (KillUserProcesses); under "systemd-run --user" it goes on.',
      action:
        plain.linger === false
          ? 'Set detach of this compute target to "systemd", and run "loginctl enable-linger" on the host, so that runs go on when you are logged out.'
          : 'Set detach of this compute target to "systemd".',
      fix: { detach: 'systemd' },
    });
  } else {
    steps.done('survival', title, {
      state: 'failed',
      detail: 'The host ends what a session leaves: a run would end with the connection.',
      action:
        plain.systemd && plain.linger === false
          ? 'Run "loginctl enable-linger" on the host, set detach of this compute target to "systemd", and test again.'
          : 'Ask who runs the host how processes may go on after a logout.',
    });
  }
  return second;
}

type Canary = ReturnType<typeof canarySchema.parse>;

async function canary({ channel }: Connection, detach: 'process' | 'systemd'): Promise<Canary> {
  return canarySchema.parse((await channel.request('host.canary', { detach })).result);
}

async function isAlive({ channel }: Connection, { pid, start }: Canary): Promise<boolean> {
  const { result } = await channel.request<{ alive: boolean }>('host.canary.check', { pid, start });
  return result.alive;
}
