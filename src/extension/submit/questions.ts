import * as vscode from 'vscode';
import { localCompute, type Compute } from '../../api/compute.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import { computeItem } from '../computes/pick.ts';
import { ArgumentsError, joinArguments, splitArguments } from './arguments.ts';
import { asTheHostIs, type EnvironmentAnswer, sectionsOf } from './environment-answer.ts';
import { type EnvironmentChoices, type EnvironmentItem, isAnswer } from './environment-choices.ts';
import { back, inputStep, pickStep, runSteps, type StepFrame, type StepItem } from './multi-step.ts';
import type { SubmitSession } from './session.ts';

/** What a person answered for a new run configuration. */
export interface Answers {
  script?: string;
  command?: string;
  arguments: string;
  compute: string;
  /** In a container there. */
  docker: boolean;
  environment: EnvironmentAnswer;
  experiment: string;
}

/** Who asks, with what there is to choose from. */
export interface Asker {
  /** The title of every step. */
  readonly title: string;
  readonly computes: readonly Compute[];
  readonly experiments: readonly string[];
  readonly choices: EnvironmentChoices;
  /** The script is not asked for: the steps count from the one after it. */
  readonly scriptIsFixed?: boolean;
  /** Lines of every step that show what a run on a target will run with, and let one change it. */
  runsWith(compute: string, docker: boolean): StepItem[];
  /** The interpreter there, where a run has no environment of its own. */
  interpreterOf(compute: string): string;
  /** Asks for one more target; gives its name where there is one now. */
  addCompute(): Promise<string | undefined>;
}

interface Choice extends StepItem {
  value?: string;
  command?: boolean;
  docker?: boolean;
  /** Asks for one more target instead. */
  add?: boolean;
}

/** Where the n-th of the five questions stands. */
function at(asker: Asker, step: number): Pick<StepFrame, 'title' | 'step' | 'totalSteps'> {
  const left = asker.scriptIsFixed ? 1 : 0;
  return { title: asker.title, step: step - left, totalSteps: 5 - left };
}

/** Asks for script, arguments, compute target, environment and experiment. `back`: to where it came from. */
export async function askQuestions(session: SubmitSession): Promise<Answers | typeof back | undefined> {
  const { last, target } = session;
  const answers: Answers = {
    ...(target.script ? { script: target.script } : {}),
    arguments: !target.script || target.script === last.script ? (last.arguments ?? '') : '',
    compute: known(session, last.compute),
    docker: last.docker === true,
    environment: session.preset ?? session.choices.latest(last.environment, last.docker === true),
    experiment: session.defaultExperiment,
  };
  const steps = [
    () => askScript(session, answers),
    () => askArguments(session, answers),
    async () => {
      const done = await askCompute(session, answers);
      // A command has no arguments step to go back to: back leads to the script.
      if (done === back) delete answers.command;
      return done;
    },
    () => askEnvironment(session, answers),
    () => askExperiment(session, answers),
  ];
  const done = await runSteps(steps, target.script ? 1 : 0);
  if (done === back) return back;
  return done ? answers : undefined;
}

/** A target that was chosen once may have been removed since. */
function known({ computes }: Asker, name = localCompute): string {
  return computes.some((compute) => compute.name === name) ? name : localCompute;
}

/** The run configuration that the answers make. */
export function configurationOf(answers: Answers): RunConfiguration {
  return {
    ...(answers.command
      ? { command: answers.command }
      : { script: answers.script ?? '', arguments: splitArguments(answers.arguments) }),
    target: answers.compute,
    experiment: answers.experiment,
    ...sectionsOf(answers.environment, answers.docker),
  } as RunConfiguration;
}

async function askScript(session: SubmitSession, answers: Answers): Promise<typeof back | boolean> {
  const command = vscode.l10n.t('Command...');
  const previous = answers.script ?? session.last.script;
  const picked = await pickStep<Choice>({
    ...at(session, 1),
    canGoBack: session.configurations.length > 0,
    placeholder: vscode.l10n.t('The script to run, or its path inside the folder'),
    active: (item) => item.value !== undefined && item.value === previous,
    items: (typed) => [
      ...session.scripts.map((script) => ({ label: `$(file-code) ${script}`, value: script })),
      ...typedItem(typed, session.scripts, vscode.l10n.t('Run this script')),
      {
        label: `$(terminal) ${command}`,
        description: vscode.l10n.t('a command line instead of a script'),
        command: true,
        alwaysShow: true,
      },
      ...runsWith(session, answers),
    ],
  });
  if (picked === back || !picked) return picked ?? false;
  if (picked.command) return askCommand(session, answers);
  if (answers.script !== picked.value) {
    answers.arguments = picked.value === session.last.script ? (session.last.arguments ?? '') : '';
  }
  answers.script = picked.value ?? '';
  delete answers.command;
  return true;
}

async function askCommand(session: SubmitSession, answers: Answers): Promise<typeof back | boolean> {
  const text = await inputStep({
    ...at(session, 2),
    value: answers.command ?? session.last.command ?? '',
    placeholder: 'make train',
    prompt: vscode.l10n.t('A command line, run by the shell in the folder'),
    validate: (value) => (value.trim() ? undefined : vscode.l10n.t('Enter a command.')),
  });
  if (text === back) return askScript(session, answers);
  if (text === undefined) return false;
  answers.command = text.trim();
  delete answers.script;
  return true;
}

/** What the script is called with; nothing is asked where a command runs. */
export async function askArguments(asker: Asker, answers: Answers): Promise<typeof back | boolean> {
  if (answers.command) return true;
  const text = await inputStep({
    ...at(asker, 2),
    value: answers.arguments,
    placeholder: '--epochs 20 --lr 0.1',
    prompt: vscode.l10n.t('Arguments of {0}. Enter for none.', answers.script ?? ''),
    validate: argumentsProblem,
  });
  if (text === back) return back;
  if (text === undefined) return false;
  answers.arguments = joinArguments(splitArguments(text));
  return true;
}

function argumentsProblem(text: string): string | undefined {
  try {
    splitArguments(text);
    return undefined;
  } catch (error) {
    if (!(error instanceof ArgumentsError)) throw error;
    return vscode.l10n.t('A quote is not closed.');
  }
}

/** Where to run: a target that is there, in a container on one, or a new one. */
export async function askCompute(asker: Asker, answers: Answers): Promise<typeof back | boolean> {
  await asker.choices.known();
  for (;;) {
    const picked = await pickStep<Choice>({
      ...at(asker, 3),
      placeholder: vscode.l10n.t('The compute target to run on'),
      active: (item) => item.value === answers.compute && (item.docker ?? false) === answers.docker,
      items: () => [
        ...asker.computes.map((compute) => ({ ...computeItem(compute), value: compute.name })),
        ...asker.choices.dockerItems(asker.computes),
        {
          label: `$(add) ${vscode.l10n.t('Add Compute...')}`,
          description: vscode.l10n.t('a host over SSH, or a Slurm cluster'),
          alwaysShow: true,
          add: true,
        },
        ...runsWith(asker, answers),
      ],
    });
    if (picked === back || !picked) return picked ?? false;
    if (picked.add) {
      // The new one is shown among the others: Enter takes it.
      const added = await asker.addCompute();
      if (added) Object.assign(answers, { compute: added, docker: false });
      continue;
    }
    const compute = asker.computes.find(({ name }) => name === picked.value);
    const docker = picked.docker === true;
    if (docker && compute && !(await asker.choices.ready(compute))) continue;
    answers.compute = picked.value ?? answers.compute;
    answers.docker = docker;
    answers.environment = asker.choices.still(answers.environment, docker);
    return true;
  }
}

/** What the run finds installed: as the host is, a registered environment, a file; of a container its image. */
export async function askEnvironment(asker: Asker, answers: Answers): Promise<typeof back | boolean> {
  const { choices } = asker;
  const { compute, docker, environment } = answers;
  const picked = await pickStep<EnvironmentItem>({
    ...at(asker, 4),
    placeholder: docker
      ? vscode.l10n.t('The image of the container; type the name of any other')
      : vscode.l10n.t('The environment of the run'),
    active: isAnswer(environment),
    items: (typed) => [
      ...(docker
        ? choices.imageItems(compute, typed, environment)
        : choices.hostItems(asker.interpreterOf(compute))),
      ...runsWith(asker, answers),
    ],
  });
  if (picked === back || !picked) return picked ?? false;
  answers.environment = picked.environment ?? asTheHostIs;
  return true;
}

/** What the run will run with on the target that is chosen so far. */
function runsWith(asker: Asker, { compute, docker }: Answers): StepItem[] {
  const items = asker.runsWith(compute, docker);
  if (items.length === 0) return [];
  const label =
    compute === localCompute ? vscode.l10n.t('runs with') : vscode.l10n.t('runs with, on {0}', compute);
  return [{ label, kind: vscode.QuickPickItemKind.Separator }, ...items];
}

/** The experiment, a known or a new one. */
export async function askExperiment(asker: Asker, answers: Answers): Promise<typeof back | boolean> {
  const picked = await pickStep<Choice>({
    ...at(asker, 5),
    placeholder: vscode.l10n.t('The experiment; type a name for a new one. Enter submits.'),
    active: (item) => item.value === answers.experiment,
    items: (typed) => {
      const known = new Set([...asker.experiments, answers.experiment]);
      return [
        ...[...known].map((name) => ({
          label: `$(beaker) ${name}`,
          description: asker.experiments.includes(name) ? '' : vscode.l10n.t('new'),
          value: name,
        })),
        ...typedItem(typed, [...known], vscode.l10n.t('New experiment')),
        ...runsWith(asker, answers),
      ];
    },
  });
  if (picked === back || !picked) return picked ?? false;
  answers.experiment = picked.value ?? answers.experiment;
  return true;
}

/** What was typed, offered as an answer where it is none of the known ones. */
function typedItem(typed: string, known: readonly string[], description: string): Choice[] {
  if (!typed || known.includes(typed)) return [];
  return [{ label: `$(add) ${typed}`, description, value: typed, alwaysShow: true }];
}
