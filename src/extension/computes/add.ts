import { constants } from 'node:fs';
import { access } from 'node:fs/promises';
import os from 'node:os';
import path from 'node:path';
import * as vscode from 'vscode';
import {
  localCompute,
  type AddComputeRequest,
  type Compute,
  type ComputeCandidate,
} from '../../api/compute.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Client } from '../../client/client.ts';
import type { Connection } from '../connection.ts';
import { describe, RemedyError } from '../errors.ts';
import { sshConfigFile } from '../settings.ts';
import { back, inputStep, pickStep, runSteps, type StepItem } from '../submit/multi-step.ts';
import { parseAddress } from './address.ts';
import { askLines } from './ask-lines.ts';
import type { Computes } from './computes.ts';
import { settingTitle, textRule } from './settings.ts';

const namePattern = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;
const defaultRoot = '~/.runyard/host';
/** This machine itself has the other one. */
const clusterRoot = '~/.runyard/cluster';

interface HostItem extends StepItem {
  host?: Pick<AddComputeRequest, 'host' | 'user' | 'port'>;
  alias?: string;
}

/** *Add Compute...*: asks which host, and what it is called; nothing is connected yet. */
export class AddCompute {
  private readonly connection: Connection;
  private readonly computes: Computes;

  constructor(connection: Connection, computes: Computes) {
    this.connection = connection;
    this.computes = computes;
  }

  /** The new target; undefined when the person has dismissed a question. */
  async run(): Promise<Compute | undefined> {
    const client = await this.connection.client();
    const [candidates, taken, isLoginNode] = await Promise.all([
      candidatesOf(client),
      this.names(),
      isOnPath('sbatch'),
    ]);
    const request: AddComputeRequest = { name: '', host: '', configFile: sshConfigFile() || null };
    for (let first = 0; ;) {
      const done = await runSteps(
        [
          () => askHost(request, candidates, taken, isLoginNode),
          () => askName(request, taken),
          () => askMore(request),
        ],
        first,
      );
      if (done !== true) return undefined;
      try {
        const compute = await client.call('addCompute', { body: request });
        this.computes.take(compute);
        return compute;
      } catch (error) {
        if (!(error instanceof RunyardError) || !['bad_request', 'conflict'].includes(error.code))
          throw error;
        // Asked again with what was answered: a refusal is no loss.
        void vscode.window.showErrorMessage(describe(error));
        if (error.code === 'conflict') taken.add(request.name);
        first = error.code === 'conflict' ? 1 : 0;
      }
    }
  }

  private async names(): Promise<Set<string>> {
    const computes = await this.computes.refresh();
    return new Set([localCompute, ...computes.map(({ name }) => name)]);
  }
}

async function candidatesOf(client: Client): Promise<ComputeCandidate[]> {
  const configFile = sshConfigFile();
  try {
    return (await client.call('listComputeCandidates', { query: configFile ? { configFile } : {} }))
      .candidates;
  } catch (error) {
    const run = () =>
      vscode.commands.executeCommand('workbench.action.openSettings', 'runyard.sshConfigFile');
    if (!configFile) throw error;
    throw new RemedyError(describe(error), [{ label: vscode.l10n.t('Open Settings'), run }], error);
  }
}

async function askHost(
  request: AddComputeRequest,
  candidates: readonly ComputeCandidate[],
  taken: ReadonlySet<string>,
  isLoginNode: boolean,
): Promise<typeof back | boolean> {
  for (;;) {
    const picked = await pickStep<HostItem>({
      title: vscode.l10n.t('Add Compute'),
      step: 1,
      totalSteps: 3,
      placeholder:
        candidates.length > 0
          ? vscode.l10n.t('A host of your ssh configuration, or type user@host:port')
          : vscode.l10n.t('Type user@host:port, or a host name'),
      active: (item) => item.host?.host === request.host,
      items: (typed) => [
        ...typedHost(typed, candidates),
        ...candidates.map(candidateItem),
        ...(isLoginNode ? [thisMachineItem()] : []),
        ...(candidates.length === 0 && !typed
          ? [
              {
                label: `$(info) ${vscode.l10n.t('Your ssh configuration names no hosts; type one.')}`,
                alwaysShow: true,
              },
            ]
          : []),
      ],
    });
    if (!picked || picked === back) return picked ?? false;
    if (!picked.host) continue;
    const { host, user = null, port = null } = picked.host;
    if (host !== request.host || !request.name)
      request.name = suggestName(picked.alias ?? host ?? 'cluster', taken);
    const [scheduler, root] = host === null ? ['slurm', clusterRoot] : ['direct', defaultRoot];
    const isUsual = !request.root || [defaultRoot, clusterRoot].includes(request.root);
    Object.assign(request, { host, user, port, scheduler, ...(isUsual ? { root } : {}) });
    return true;
  }
}

function candidateItem({ host, user, hostName, port, usedBy }: ComputeCandidate): HostItem {
  const where = hostName && hostName !== host ? hostName : '';
  const address = `${user ? `${user}@` : ''}${where || host}${port && port !== 22 ? `:${port}` : ''}`;
  const used = usedBy.length > 0 ? `$(check) ${vscode.l10n.t('used by {0}', usedBy.join(', '))}` : '';
  return {
    label: `$(remote) ${host}`,
    description: [address, used].filter(Boolean).join('  '),
    host: { host },
    alias: host,
  };
}

/** A cluster that this machine belongs to. */
function thisMachineItem(): HostItem {
  return {
    label: `$(server-environment) ${vscode.l10n.t('This machine is a Slurm login node')}`,
    description: vscode.l10n.t('runs become jobs of its cluster'),
    host: { host: null },
    alias: 'cluster',
  };
}

async function isOnPath(program: string): Promise<boolean> {
  const folders = (process.env['PATH'] ?? '').split(path.delimiter).filter(Boolean);
  const there = folders.map((folder) =>
    access(path.join(folder, program), constants.X_OK).then(
      () => true,
      () => false,
    ),
  );
  return (await Promise.all(there)).includes(true);
}

/** What was typed, where it is no host of the list. */
function typedHost(typed: string, candidates: readonly ComputeCandidate[]): HostItem[] {
  if (!typed || candidates.some(({ host }) => host === typed)) return [];
  const host = parseAddress(typed);
  if (!host) {
    const label = `$(error) ${vscode.l10n.t('"{0}" is no address', typed)}`;
    return [{ label, description: vscode.l10n.t('write it as user@host:port'), alwaysShow: true }];
  }
  return [{ label: `$(add) ${typed}`, description: vscode.l10n.t('this host'), host, alwaysShow: true }];
}

/** The alias, or the first part of a host name; another one where it is taken. */
export function suggestName(host: string, taken: ReadonlySet<string>): string {
  const whole = /^[\d.]+$|:/.test(host) ? host : host.split('.')[0]!;
  const stem =
    whole
      .replace(/[^A-Za-z0-9._-]+/g, '-')
      .replace(/^[^A-Za-z0-9]+/, '')
      .slice(0, 60) || 'host';
  for (let n = 1; ; n++) {
    const name = n === 1 ? stem : `${stem}-${n}`;
    if (!taken.has(name)) return name;
  }
}

async function askName(
  request: AddComputeRequest,
  taken: ReadonlySet<string>,
): Promise<typeof back | boolean> {
  const text = await inputStep({
    title: vscode.l10n.t('Add Compute: {0}', request.host ?? os.hostname()),
    step: 2,
    totalSteps: 3,
    value: request.name,
    placeholder: vscode.l10n.t('Name'),
    prompt: vscode.l10n.t('What the compute target is called in run configurations'),
    validate: (value) => nameProblem(value.trim(), taken),
  });
  if (text === back || text === undefined) return text ?? false;
  request.name = text.trim();
  return true;
}

function nameProblem(name: string, taken: ReadonlySet<string>): string | undefined {
  if (name === localCompute) return vscode.l10n.t('"local" is this machine.');
  if (taken.has(name)) return vscode.l10n.t('There is a compute target "{0}" already.', name);
  if (namePattern.test(name)) return undefined;
  return vscode.l10n.t('Use letters, digits, ".", "_" and "-", at most 63.');
}

/** What has a default: shown, changed by choosing it, taken by Enter. */
async function askMore(request: AddComputeRequest): Promise<typeof back | boolean> {
  const picked = await pickStep<StepItem>({
    title: vscode.l10n.t('Add Compute: {0}', request.name),
    step: 3,
    totalSteps: 3,
    placeholder: vscode.l10n.t('Enter adds it and tests the connection'),
    items: () => {
      const { setup = [], root = defaultRoot, interpreter } = request;
      return [
        {
          label: `$(check) ${vscode.l10n.t('Add and Test Connection')}`,
          description: request.name,
          alwaysShow: true,
        },
        { label: vscode.l10n.t('optional'), kind: vscode.QuickPickItemKind.Separator },
        {
          label: `$(terminal) ${settingTitle('setup')}`,
          description: setup.length > 0 ? setup.join('; ') : vscode.l10n.t('none'),
          action: () => askSetup(request),
        },
        {
          label: `$(symbol-misc) ${settingTitle('interpreter')}`,
          description: interpreter ?? vscode.l10n.t('python3 of the host, after the set-up lines'),
          action: () => askText(request, 'interpreter'),
        },
        {
          label: `$(folder) ${settingTitle('root')}`,
          description: root,
          action: () => askText(request, 'root'),
        },
      ];
    },
  });
  if (!picked || picked === back) return picked ?? false;
  return true;
}

async function askSetup(request: AddComputeRequest): Promise<void> {
  const lines = await askLines({
    title: (n) => vscode.l10n.t('Set-up line {0} of {1}', n, request.name),
    prompt: vscode.l10n.t('A shell line that is run before anything else. Empty: no more lines.'),
    placeholders: ['module load cuda', 'conda activate ml'],
    before: request.setup ?? [],
  });
  if (lines) request.setup = lines;
}

async function askText(request: AddComputeRequest, setting: 'interpreter' | 'root'): Promise<void> {
  const { placeholder, prompt, problem } = textRule(setting);
  const text = await vscode.window.showInputBox({
    title: settingTitle(setting),
    prompt,
    placeHolder: placeholder,
    value: request[setting] ?? (setting === 'root' ? defaultRoot : ''),
    ignoreFocusOut: true,
    validateInput: (value) => problem(value.trim()),
  });
  if (text === undefined) return;
  if (setting === 'root') request.root = text.trim();
  else request.interpreter = text.trim() || null;
}
