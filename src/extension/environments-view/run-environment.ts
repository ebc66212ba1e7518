import * as vscode from 'vscode';
import type { EnvironmentComparison, InstalledPackage, RunEnvironment } from '../../api/environment.ts';
import type { Client } from '../../client/client.ts';
import type { Connection } from '../connection.ts';
import type { RunPicker } from '../activity/pick.ts';
import { RemedyError } from '../errors.ts';
import { runTitle } from '../format.ts';
import { runKey, type RunRef } from '../run-ref.ts';
import { inputStep } from '../submit/multi-step.ts';
import { nameProblem, tell } from './create.ts';
import { showDefinition } from './definition-document.ts';
import { suggestName } from './reference.ts';

/** Another run, and how its environment differs. */
export interface ComparedEnvironment {
  title: string;
  comparison: EnvironmentComparison;
}

/** What the page of a run can do with the run's environment. */
export class RunEnvironmentActions {
  private readonly connection: Connection;
  private readonly picker: Pick<RunPicker, 'ask'>;
  private readonly reveal: (environment: { name: string; version: number }) => Promise<void>;

  constructor(
    connection: Connection,
    picker: Pick<RunPicker, 'ask'>,
    reveal: (environment: { name: string; version: number }) => Promise<void>,
  ) {
    this.connection = connection;
    this.picker = picker;
    this.reveal = reveal;
  }

  /** In the view where it has a name that is still there; else its definition as a document. */
  async show(ref: RunRef): Promise<void> {
    const { client, found } = await this.look(ref);
    const { name, version } = found;
    if (name !== null && version !== null) {
      const params = { workspace: ref.workspace, environment: `${name}:${version}` };
      const there = await client.call('getEnvironment', { params }).catch(() => undefined);
      if (there) return this.reveal(there);
    }
    await showDefinition({ workspace: ref.workspace, run: ref.runId });
  }

  /** A pinned copy of what the run found installed; one without a name is registered under one first. */
  async freeze(ref: RunRef): Promise<void> {
    const { client, found } = await this.look(ref);
    if (!found.facts?.packages) {
      throw new RemedyError(
        vscode.l10n.t('What is installed in the environment of this run is not known (yet).'),
        [],
      );
    }
    const run = await client.call('getRun', this.call(ref));
    const named = found.name !== null && found.version !== null;
    const text = await inputStep({
      title: vscode.l10n.t('Freeze the Environment of {0}', runTitle(run)),
      step: 1,
      totalSteps: 1,
      value: `${suggestName(found.name ?? run.experiment)}-frozen`,
      prompt: vscode.l10n.t('Name of the copy in which every package has the version that the run found'),
      validate: nameProblem,
    });
    if (typeof text !== 'string') return;
    const name = text.trim();
    let environment = `${found.name}:${found.version}`;
    if (!named) {
      const definition = found.definition ?? { interpreter: found.facts.interpreter ?? run.interpreter };
      const asked = await client.call('createEnvironment', {
        params: { workspace: ref.workspace },
        body: { name, definition },
      });
      environment = `${asked.name}:${asked.version}`;
    }
    const frozen = await client.call('freezeEnvironment', {
      params: { workspace: ref.workspace, environment },
      body: { name, run: ref.runId },
    });
    await this.reveal(frozen);
    void tell(ref.workspace, frozen);
  }

  async copyRequirements(ref: RunRef): Promise<void> {
    const { found } = await this.look(ref);
    const packages = found.facts?.packages;
    if (!packages) {
      throw new RemedyError(vscode.l10n.t('The list of packages is not there yet.'), []);
    }
    await vscode.env.clipboard.writeText(requirementsOf(packages));
    vscode.window.setStatusBarMessage(vscode.l10n.t('Packages copied as requirements.txt'), 3000);
  }

  /** Asks for the other run; undefined when the person picked none. */
  async compare(ref: RunRef): Promise<ComparedEnvironment | undefined> {
    const other = await this.picker.ask(vscode.l10n.t('The run whose environment to compare with'));
    if (!other) return undefined;
    if (runKey(other) === runKey(ref)) {
      throw new RemedyError(vscode.l10n.t('That is this run itself. Choose another one.'), []);
    }
    const client = await this.connection.client();
    const { params } = this.call(ref);
    const comparison = await client.call('compareRunEnvironments', {
      params,
      query: { with: other.runId },
    });
    return { title: other.run ? runTitle(other.run) : other.runId, comparison };
  }

  private async look(ref: RunRef): Promise<{ client: Client; found: RunEnvironment }> {
    const client = await this.connection.client();
    return { client, found: await client.call('getRunEnvironment', this.call(ref)) };
  }

  private call({ workspace, runId }: RunRef) {
    return { params: { workspace, run: runId } };
  }
}

/** Installed packages as lines of a requirements.txt; what conda has installed stands in comments. */
export function requirementsOf(packages: readonly InstalledPackage[]): string {
  const sorted = [...packages].sort((a, b) => a.name.localeCompare(b.name));
  const pip = sorted.filter(({ source }) => source !== 'conda');
  const conda = sorted.filter(({ source }) => source === 'conda');
  const lines = pip.map(({ name, version }) => `${name}==${version}`);
  if (conda.length > 0) lines.push(`# ${vscode.l10n.t('installed by conda:')}`);
  lines.push(...conda.map(({ name, version }) => `# ${name}==${version}`));
  return lines.map((line) => `${line}\n`).join('');
}
