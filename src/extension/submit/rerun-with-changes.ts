import { randomUUID } from 'node:crypto';
import path from 'node:path';
import * as vscode from 'vscode';
import type { Compute } from '../../api/compute.ts';
import type { Run, RunDetail } from '../../api/entities.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import type { Connection } from '../connection.ts';
import { runTitle } from '../format.ts';
import type { Log } from '../log.ts';
import type { RunRef } from '../run-ref.ts';
import { ArgumentsError, joinArguments, splitArguments } from './arguments.ts';
import { submitterEnvironment } from './environment.ts';
import { EnvironmentChoices } from './environment-choices.ts';
import type { ComputeActions } from './compute-actions.ts';
import {
  enterPath,
  hostInterpreterItem,
  type Interpreter,
  interpreterItem,
  Interpreters,
} from './interpreter.ts';
import { back, inputStep, runSteps, type StepItem } from './multi-step.ts';
import { commandLine } from './pick-configuration.ts';
import {
  type Answers,
  type Asker,
  askArguments,
  askCompute,
  askEnvironment,
  askExperiment,
} from './questions.ts';

/** *Rerun with Changes...*: the questions of a submit, answered by the run that is run again. */
export class RerunWithChanges {
  private readonly connection: Connection;
  private readonly actions: ComputeActions;
  private readonly interpreters: Interpreters;

  constructor(connection: Connection, actions: ComputeActions, log: Log) {
    this.connection = connection;
    this.actions = actions;
    this.interpreters = new Interpreters(log);
  }

  /** Asks, and submits the run's snapshot again; undefined when the person has dismissed a question. */
  async run({ workspace, runId }: RunRef): Promise<Run | undefined> {
    const client = await this.connection.client();
    const params = { workspace, run: runId };
    const [run, { computes }, { experiments }] = await Promise.all([
      client.call('getRun', { params }),
      client.call('listComputes'),
      client.call('listExperiments', { params: { workspace } }),
    ]);
    const names = experiments.map((experiment) => experiment.name);
    const folder = vscode.Uri.file(run.sourceDirectory);
    const choices = await EnvironmentChoices.open(client, workspace, folder, computes);
    const asker = new RerunAsker(run, computes, names, choices, this.interpreters, this.actions);
    const changes = await asker.ask();
    if (!changes || !(await this.actions.ready(changes.configuration.target ?? run.compute)))
      return undefined;
    const body = { ...changes, environment: submitterEnvironment(process.env), requestId: randomUUID() };
    return client.call('rerun', { params, body });
  }
}

/** What is to be different. */
interface Changes {
  configuration: Partial<RunConfiguration>;
  experiment?: string;
  interpreter?: string;
  useEnvironment?: string;
}

class RerunAsker implements Asker {
  readonly scriptIsFixed = true;
  computes: readonly Compute[];
  readonly experiments: readonly string[];
  readonly choices: EnvironmentChoices;
  private readonly original: RunDetail;
  private readonly interpreters: Interpreters;
  private readonly actions: ComputeActions;
  private readonly answers: Answers;
  private interpreter: Interpreter;
  /** The person has chosen another interpreter for this rerun. */
  private interpreterChosen = false;
  private variables: Record<string, string>;

  constructor(
    run: RunDetail,
    computes: readonly Compute[],
    experiments: readonly string[],
    choices: EnvironmentChoices,
    interpreters: Interpreters,
    actions: ComputeActions,
  ) {
    this.original = run;
    this.actions = actions;
    this.computes = computes;
    this.experiments = experiments;
    this.choices = choices;
    this.interpreters = interpreters;
    const { configuration } = run;
    const { kind } = run.environment;
    this.answers = {
      ...(configuration.command
        ? { command: commandLine(configuration) }
        : { script: configuration.script ?? run.script }),
      arguments: joinArguments(configuration.arguments ?? []),
      compute: run.compute,
      docker: kind === 'image' || kind === 'dockerfile',
      environment: { kind: 'asBefore' },
      experiment: run.experiment,
    };
    const { docker } = this.answers;
    choices.before = { title: runTitle(run), label: run.environment.label, docker };
    this.interpreter = { path: run.interpreter, source: vscode.l10n.t('as in {0}', runTitle(run)) };
    this.variables = { ...configuration.environmentVariables };
  }

  get title(): string {
    return vscode.l10n.t('Rerun with Changes: {0}', runTitle(this.original));
  }

  interpreterOf(compute: string): string {
    const host = this.computes.find(({ name }) => name === compute);
    if (this.interpreterChosen || compute === this.original.compute) return this.interpreter.path;
    return host?.settings?.interpreter ?? 'python3';
  }

  runsWith(compute: string, docker: boolean): StepItem[] {
    const names = Object.keys(this.variables).join(', ');
    return [
      ...(docker ? [] : [this.interpreterOn(compute)]),
      {
        label: `$(symbol-variable) ${vscode.l10n.t('Environment variables: {0}', names || vscode.l10n.t('none'))}`,
        description: vscode.l10n.t('of the run configuration'),
        alwaysShow: true,
        action: () => this.changeVariables(),
      },
    ];
  }

  async addCompute(): Promise<string | undefined> {
    const name = await this.actions.add();
    this.computes = await this.actions.list();
    return name;
  }

  /** Another host has its interpreters elsewhere: what was typed counts there, else its own setting. */
  private interpreterOn(compute: string): StepItem {
    const host = this.computes.find(({ name }) => name === compute);
    if (host?.settings && !this.interpreterChosen && compute !== this.original.compute)
      return hostInterpreterItem(host, () => this.enterInterpreter());
    if (host?.settings === null && !this.interpreterChosen && compute !== this.original.compute) {
      const here = { path: 'python3', source: vscode.l10n.t('found on the path') };
      return interpreterItem(here, () => this.changeInterpreter());
    }
    const change = host?.settings ? () => this.enterInterpreter() : () => this.changeInterpreter();
    return interpreterItem(this.interpreter, change);
  }

  private async enterInterpreter(): Promise<void> {
    const path = await enterPath(this.interpreterChosen ? this.interpreter.path : '');
    if (!path) return;
    this.interpreter = { path, source: vscode.l10n.t('entered for this rerun') };
    this.interpreterChosen = true;
  }

  async ask(): Promise<Changes | undefined> {
    const { answers } = this;
    const done = await runSteps([
      () => (answers.command === undefined ? askArguments(this, answers) : this.askCommand()),
      () => askCompute(this, answers),
      () => askEnvironment(this, answers),
      () => askExperiment(this, answers),
    ]);
    return done === true ? this.changes() : undefined;
  }

  private async askCommand(): Promise<typeof back | boolean> {
    const text = await inputStep({
      title: this.title,
      step: 1,
      totalSteps: 4,
      value: this.answers.command ?? '',
      prompt: vscode.l10n.t('A command line, run by the shell in the folder'),
      validate: (value) => (value.trim() ? undefined : vscode.l10n.t('Enter a command.')),
    });
    if (text === back || text === undefined) return text ?? false;
    this.answers.command = text.trim();
    return true;
  }

  private async changeInterpreter(): Promise<void> {
    const folder = vscode.Uri.file(this.original.sourceDirectory);
    const chosen = await this.interpreters.ask(folder, this.interpreter);
    if (chosen === undefined) return;
    this.interpreter = await this.interpreters.of(folder, chosen || undefined);
    this.interpreterChosen = true;
  }

  private async changeVariables(): Promise<void> {
    const text = await vscode.window.showInputBox({
      title: this.title,
      prompt: vscode.l10n.t('Environment variables of the run, apart from those of this window'),
      placeHolder: "OMP_NUM_THREADS=4 GREETING='two words'",
      value: joinArguments(Object.entries(this.variables).map(([name, value]) => `${name}=${value}`)),
      ignoreFocusOut: true,
      validateInput: variablesProblem,
    });
    if (text !== undefined) this.variables = parseVariables(text);
  }

  /** Another environment than the run's: by name or file, or with the sections that say it. */
  private changeEnvironment(result: Changes, changed: Partial<RunConfiguration>): void {
    const { environment } = this.answers;
    const { configuration, sourceDirectory } = this.original;
    const { environment: section, docker } = configuration;
    const { environmentVariables } = section ?? {};
    const kept = environmentVariables ? { environmentVariables } : {};
    const { baseImage: _, baseDockerfile: __, ...options } = docker ?? {};
    const { baseImage: ___, baseDockerfile: ____, ...earlier } = section?.docker ?? {};
    switch (environment.kind) {
      case 'asBefore':
        return;
      case 'named':
        result.useEnvironment = `${environment.name}:${environment.version}`;
        return;
      case 'file':
        result.useEnvironment = path.join(sourceDirectory, environment.file);
        return;
      case 'image':
        changed.environment = { ...kept, docker: { ...earlier, baseImage: environment.image } };
        changed.docker = { ...options, useDocker: true };
        return;
      case 'host': {
        const interpreterPath = result.interpreter ?? section?.python?.interpreterPath;
        changed.environment = { ...kept, ...(interpreterPath ? { python: { interpreterPath } } : {}) };
        changed.docker = { ...options, useDocker: false };
      }
    }
  }

  /** Only what is different from the run: everything else is the server's to repeat. */
  private changes(): Changes {
    const { answers, original } = this;
    const { configuration } = original;
    const changed: Partial<RunConfiguration> = {};
    if (answers.command !== undefined) {
      if (answers.command !== commandLine(configuration)) changed.command = answers.command;
    } else if (answers.arguments !== joinArguments(configuration.arguments ?? [])) {
      changed.arguments = splitArguments(answers.arguments);
    }
    if (answers.compute !== original.compute) changed.target = answers.compute;
    const variables = configuration.environmentVariables ?? {};
    if (!sameRecord(this.variables, variables)) changed.environmentVariables = this.variables;
    const result: Changes = { configuration: changed };
    if (answers.experiment !== original.experiment) result.experiment = answers.experiment;
    if (this.interpreterChosen && this.interpreter.path !== original.interpreter) {
      result.interpreter = this.interpreter.path;
      const { environment } = configuration;
      // The configuration's own interpreter would win over the one that was chosen.
      if (environment?.python?.interpreterPath) {
        const python = { ...environment.python, interpreterPath: this.interpreter.path };
        changed.environment = { ...environment, python };
      }
    }
    this.changeEnvironment(result, changed);
    return result;
  }
}

function parseVariables(text: string): Record<string, string> {
  return Object.fromEntries(
    splitArguments(text).map((word) => [word.slice(0, word.indexOf('=')), word.slice(word.indexOf('=') + 1)]),
  );
}

function variablesProblem(text: string): string | undefined {
  try {
    const wrong = splitArguments(text).find((word) => !/^[^=\s]+=/.test(word));
    return wrong === undefined ? undefined : vscode.l10n.t('"{0}" is not of the form NAME=value.', wrong);
  } catch (error) {
    if (!(error instanceof ArgumentsError)) throw error;
    return vscode.l10n.t('A quote is not closed.');
  }
}

function sameRecord(a: Record<string, string>, b: Record<string, string>): boolean {
  const names = Object.keys(a);
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
