import * as vscode from 'vscode';
import { localCompute, type Compute } from '../../api/compute.ts';
import type { CreatedEnvironment, Engine, Environment } from '../../api/environment.ts';
import type { Client } from '../../client/client.ts';
import {
  describeEngine,
  engineName,
  isStopped,
  isUsable,
  placeOf,
  startEngine,
  waitForEngine,
} from '../environments-view/engine.ts';
import { asksForPackages, fileGlyph, fileKindOf, filesIn } from '../environments-view/files.ts';
import { imageItems } from '../environments-view/images.ts';
import { isContainer } from '../environments-view/kinds.ts';
import { environmentQuickItem } from '../environments-view/pick.ts';
import { asTheHostIs, type EnvironmentAnswer, sameEnvironment } from './environment-answer.ts';
import type { StepItem } from './multi-step.ts';
import { submitterEnvironment } from './environment.ts';

/** Nothing waits longer for engines to be told of. */
const patienceMs = 1000;

const isCluster = ({ settings }: Compute) => settings?.scheduler === 'slurm';

export interface EnvironmentItem extends StepItem {
  environment?: EnvironmentAnswer;
}

/** What there is to choose an environment from: engines, what is registered, files of the folder. */
export class EnvironmentChoices {
  registered: readonly Environment[];
  readonly files: readonly string[];
  /** Of the run that is run again, where one is. */
  before: { title: string; label: string; docker: boolean } | undefined;
  private readonly client: Client;
  private readonly workspace: string;
  private readonly folder: vscode.Uri;
  private readonly engines = new Map<string, Engine>();
  private readonly asked: Promise<unknown>;

  private constructor(
    client: Client,
    workspace: string,
    folder: vscode.Uri,
    registered: readonly Environment[],
    files: readonly string[],
    computes: readonly Compute[],
  ) {
    this.client = client;
    this.workspace = workspace;
    this.folder = folder;
    this.registered = registered;
    this.files = files;
    // Hosts that are connected anyway; for this machine it is always worth it.
    const near = computes.filter(({ name, state }) => name === localCompute || state === 'connected');
    this.asked = Promise.allSettled(near.map(({ name }) => this.look(name)));
  }

  static async open(
    client: Client,
    workspace: string,
    folder: vscode.Uri,
    computes: readonly Compute[],
  ): Promise<EnvironmentChoices> {
    const [{ environments }, files] = await Promise.all([
      client.call('listEnvironments', { params: { workspace } }),
      filesIn(folder),
    ]);
    return new EnvironmentChoices(client, workspace, folder, environments, files, computes);
  }

  /** The engines as far as they are known after a moment. */
  async known(): Promise<ReadonlyMap<string, Engine>> {
    let timer: NodeJS.Timeout | undefined;
    const late = new Promise((resolve) => (timer = setTimeout(resolve, patienceMs)));
    await Promise.race([this.asked, late]);
    clearTimeout(timer);
    return this.engines;
  }

  /**
   * Lines of the compute question: containers on this machine, on connected hosts that have an engine, and on clusters,
   * where it is the nodes that have one.
   */
  dockerItems(computes: readonly Compute[]): (StepItem & { value: string; docker: true })[] {
    return computes
      .filter(
        (one) =>
          one.name === localCompute || isCluster(one) || (this.engines.get(one.name)?.kind ?? null) !== null,
      )
      .map((one) => {
        const { name } = one;
        if (isCluster(one)) {
          return {
            label: `$(vm) ${vscode.l10n.t('Container on {0}', placeOf(name))}`,
            description: vscode.l10n.t('an image, by Podman or Apptainer of the nodes'),
            value: name,
            docker: true as const,
          };
        }
        const engine = this.engines.get(name);
        const label = engine?.kind
          ? vscode.l10n.t('{0} on {1}', engineName(engine), placeOf(name))
          : vscode.l10n.t('Docker on {0}', placeOf(name));
        return {
          label: `$(vm) ${label}`,
          description: [vscode.l10n.t('a container of an image'), describeEngine(engine)]
            .filter(Boolean)
            .join(' · '),
          value: name,
          docker: true as const,
        };
      });
  }

  /**
   * Whether containers can be run there now; where not, a person is told why and can start the engine. False:
   * something else is to be chosen.
   */
  async ready(compute: Compute): Promise<boolean> {
    // That of a cluster is on its nodes.
    if (isCluster(compute)) return true;
    for (;;) {
      const engine = await this.look(compute.name);
      if (isUsable(engine)) return true;
      const start = vscode.l10n.t('Start {0}', engineName(engine));
      const again = vscode.l10n.t('Try Again');
      const other = { title: vscode.l10n.t('Choose Another...'), isCloseAffordance: true };
      const answer = await vscode.window.showWarningMessage<vscode.MessageItem>(
        messageOf(engine, placeOf(compute.name)),
        { modal: true, detail: [engine.problem, engine.action].filter(Boolean).join('\n\n') },
        ...(engine.start === null ? [] : [{ title: start }]),
        { title: again },
        other,
      );
      if (answer?.title === again) continue;
      if (answer?.title !== start || engine.start === null) return false;
      startEngine(compute, engine);
      if (!(await waitForEngine(this.client, compute.name, engine))) return false;
    }
  }

  /** The same, but nothing waits for an engine that does not say how it is. */
  async readyAsFarAsKnown(compute: Compute): Promise<boolean> {
    if (isCluster(compute)) return true;
    const engine = (await this.known()).get(compute.name);
    return !engine || isUsable(engine) || this.ready(compute);
  }

  /** Images and what makes one, for a run that is to be a container. */
  imageItems(compute: string, typed: string, now: EnvironmentAnswer): EnvironmentItem[] {
    const named = this.registered.filter(({ definition }) => isContainer(definition));
    const dockerfiles = this.files.filter((file) => /dockerfile/i.test(file));
    const packages = this.files.filter((file) => asksForPackages(fileKindOf(file)));
    const files = [...dockerfiles.map(fileItem), ...packages.map((file) => this.ontoImageItem(file))];
    const images = imageItems(this.engines.get(compute), typed).map(({ image, ...item }) => ({
      ...item,
      environment: { kind: 'image' as const, image },
    }));
    const before = now.kind === 'image' ? now.image : undefined;
    if (before !== undefined && !images.some(({ environment }) => environment.image === before)) {
      const description = vscode.l10n.t('is pulled when it is not there');
      images.push({ label: `$(vm) ${before}`, description, environment: { kind: 'image', image: before } });
    }
    const typedLast = images.filter(
      ({ environment, alwaysShow }) => alwaysShow && environment.image === typed,
    );
    return [
      ...this.beforeItems(true),
      ...separated(
        vscode.l10n.t('images'),
        images.filter((item) => !typedLast.includes(item)),
      ),
      ...separated(vscode.l10n.t('environments'), named.map(namedItem)),
      ...separated(vscode.l10n.t('files of this folder'), files),
      ...typedLast,
    ];
  }

  /** What a run on the host itself can have. */
  hostItems(interpreter: string): EnvironmentItem[] {
    return [
      ...this.beforeItems(false),
      {
        label: `$(device-desktop) ${vscode.l10n.t('As the Host Is')}`,
        description: interpreter,
        environment: asTheHostIs,
      },
      ...separated(vscode.l10n.t('environments'), this.registered.map(namedItem)),
      ...separated(vscode.l10n.t('files of this folder'), this.files.map(fileItem)),
    ];
  }

  /** As `still`, at its newest version: what a person means who goes on with it. */
  latest(answer: EnvironmentAnswer | undefined, docker: boolean): EnvironmentAnswer {
    const found = answer?.kind === 'named' && this.registered.find(({ name }) => name === answer.name);
    return this.still(found ? { ...answer, version: found.version } : answer, docker);
  }

  /** What was chosen before, where it is still there and fits. */
  still(answer: EnvironmentAnswer | undefined, docker: boolean): EnvironmentAnswer {
    switch (answer?.kind) {
      case 'asBefore':
        return this.before?.docker === docker ? answer : asTheHostIs;
      case 'image':
        return docker ? answer : asTheHostIs;
      case 'file':
        if (!this.files.includes(answer.file)) return asTheHostIs;
        return docker && !/dockerfile/i.test(answer.file) ? asTheHostIs : answer;
      case 'named': {
        const found = this.registered.find(({ name }) => name === answer.name);
        if (!found?.versions.includes(answer.version)) return asTheHostIs;
        return docker && !isContainer(found.definition) ? asTheHostIs : answer;
      }
      default:
        return asTheHostIs;
    }
  }

  /** Packages need an image to go into: the environment that is made of both is one to choose then. */
  private ontoImageItem(file: string): EnvironmentItem {
    return {
      label: `${fileGlyph(file)} ${file}...`,
      description: vscode.l10n.t('its packages in an image, as an environment'),
      action: async () => {
        const uri = vscode.Uri.joinPath(this.folder, file);
        const created = await vscode.commands.executeCommand<CreatedEnvironment | undefined>(
          'runyard.createEnvironment',
          uri,
        );
        const params = { workspace: this.workspace };
        this.registered = (await this.client.call('listEnvironments', { params })).environments;
        return created && isAnswer({ kind: 'named', name: created.name, version: created.version });
      },
    };
  }

  private beforeItems(docker: boolean): EnvironmentItem[] {
    if (this.before?.docker !== docker) return [];
    const { title, label } = this.before;
    return [
      {
        label: `$(history) ${vscode.l10n.t('As in {0}', title)}`,
        description: label,
        environment: { kind: 'asBefore' },
      },
    ];
  }

  private async look(compute: string): Promise<Engine> {
    const engine = await this.client.call('getEngine', {
      params: { compute },
      body: { environment: submitterEnvironment(process.env) },
    });
    this.engines.set(compute, engine);
    return engine;
  }
}

function messageOf(engine: Engine, place: string): string {
  if (engine.kind === null) return vscode.l10n.t('There is no Docker on {0}.', place);
  return isStopped(engine)
    ? vscode.l10n.t('{0} is not running on {1}.', engineName(engine), place)
    : vscode.l10n.t('{0} cannot be used on {1}.', engineName(engine), place);
}

function namedItem(environment: Environment): EnvironmentItem {
  const { name, version } = environment;
  return { ...environmentQuickItem(environment), environment: { kind: 'named', name, version } };
}

function fileItem(file: string): EnvironmentItem {
  return {
    label: `${fileGlyph(file)} ${file}`,
    description: vscode.l10n.t('built when it is new'),
    environment: { kind: 'file', file },
  };
}

function separated(label: string, items: EnvironmentItem[]): EnvironmentItem[] {
  if (items.length === 0) return [];
  return [{ label, kind: vscode.QuickPickItemKind.Separator }, ...items];
}

/** The line of an answer among others. */
export function isAnswer(answer: EnvironmentAnswer): (item: EnvironmentItem) => boolean {
  return ({ environment }) => environment !== undefined && sameEnvironment(environment, answer);
}
