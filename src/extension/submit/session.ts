import * as vscode from 'vscode';
import type { Client } from '../../client/client.ts';
import { localCompute, type Compute } from '../../api/compute.ts';
import type { FoundConfiguration } from '../../api/entities.ts';
import type { EnvironmentAnswer } from './environment-answer.ts';
import { EnvironmentChoices } from './environment-choices.ts';
import type { ComputeActions } from './compute-actions.ts';
import { hostInterpreterItem, type Interpreter, interpreterItem, type Interpreters } from './interpreter.ts';
import type { AnswersMemory, LastAnswers } from './memory.ts';
import type { StepItem } from './multi-step.ts';
import type { Asker } from './questions.ts';
import type { SubmitTarget } from './target.ts';

/** What one submit knows about its folder while it asks. */
export class SubmitSession implements Asker {
  readonly client: Client;
  readonly workspace: string;
  readonly target: SubmitTarget;
  readonly last: LastAnswers;
  readonly configurations: FoundConfiguration[];
  readonly scripts: string[];
  computes: readonly Compute[];
  readonly experiments: string[];
  readonly choices: EnvironmentChoices;
  /** The environment that the submit was begun with. */
  preset: EnvironmentAnswer | undefined;
  interpreter: Interpreter;
  private readonly actions: ComputeActions;
  private readonly interpreters: Interpreters;
  private readonly memory: AnswersMemory;

  private constructor(fields: SessionFields) {
    this.client = fields.client;
    this.workspace = fields.workspace;
    this.target = fields.target;
    this.last = fields.memory.get(fields.target.folder.fsPath);
    this.configurations = fields.configurations;
    this.scripts = fields.scripts;
    this.computes = fields.computes;
    this.actions = fields.actions;
    this.experiments = fields.experiments;
    this.choices = fields.choices;
    this.interpreter = fields.interpreter;
    this.interpreters = fields.interpreters;
    this.memory = fields.memory;
  }

  /** Looks at the folder: its configurations and scripts, and what there is to choose from. */
  static async open(
    client: Client,
    workspace: string,
    target: SubmitTarget,
    interpreters: Interpreters,
    memory: AnswersMemory,
    actions: ComputeActions,
  ): Promise<SubmitSession> {
    const folder = target.folder.fsPath;
    const [found, { computes }, { experiments }, interpreter] = await Promise.all([
      client.call('listConfigurations', { query: { folder } }),
      client.call('listComputes'),
      client.call('listExperiments', { params: { workspace } }),
      interpreters.of(target.folder, memory.get(folder).interpreter),
    ]);
    const choices = await EnvironmentChoices.open(client, workspace, target.folder, computes);
    return new SubmitSession({
      client,
      workspace,
      target,
      interpreters,
      memory,
      actions,
      computes,
      choices,
      interpreter,
      configurations: found.configurations,
      scripts: found.scripts,
      experiments: experiments.map((experiment) => experiment.name),
    });
  }

  get folder(): string {
    return this.target.folder.fsPath;
  }

  get folderName(): string {
    return this.folder.split(/[\\/]/).filter(Boolean).at(-1) ?? this.folder;
  }

  /** The title of every step. */
  get title(): string {
    return vscode.l10n.t('Submit Run: {0}', this.folderName);
  }

  /** Where a run goes when its configuration does not say. */
  get defaultExperiment(): string {
    return this.last.experiment ?? this.folderName;
  }

  remember(answers: LastAnswers): Promise<void> {
    return this.memory.update(this.folder, answers);
  }

  /** The line of every step that shows the interpreter and lets one change it. */
  runsWith(compute: string, docker = false): StepItem[] {
    // A container has its own.
    if (docker) return [];
    const host = this.computes.find(({ name }) => name === compute);
    if (host?.settings) return [hostInterpreterItem(host, () => this.changeHostInterpreter(compute))];
    return [interpreterItem(this.interpreter, () => this.changeInterpreter())];
  }

  interpreterOf(compute: string): string {
    const host = this.computes.find(({ name }) => name === compute);
    if (host?.settings) return host.settings?.interpreter ?? vscode.l10n.t('python3 of {0}', compute);
    return this.interpreter.path;
  }

  /** The interpreter that is selected here says nothing to another host. */
  interpreterFor(compute: string, docker = false): { interpreter?: string } {
    return compute === localCompute && !docker ? { interpreter: this.interpreter.path } : {};
  }

  async addCompute(): Promise<string | undefined> {
    const name = await this.actions.add();
    this.computes = await this.actions.list();
    return name;
  }

  private async changeHostInterpreter(compute: string): Promise<void> {
    await this.actions.editInterpreter(compute);
    this.computes = await this.actions.list();
  }

  private async changeInterpreter(): Promise<void> {
    const chosen = await this.interpreters.ask(this.target.folder, this.interpreter);
    if (chosen === undefined) return;
    await this.remember({ interpreter: chosen });
    this.interpreter = await this.interpreters.of(this.target.folder, chosen);
  }
}

interface SessionFields {
  client: Client;
  workspace: string;
  target: SubmitTarget;
  interpreters: Interpreters;
  memory: AnswersMemory;
  actions: ComputeActions;
  configurations: FoundConfiguration[];
  scripts: string[];
  computes: Compute[];
  choices: EnvironmentChoices;
  experiments: string[];
  interpreter: Interpreter;
}
