import path from 'node:path';
import * as vscode from 'vscode';
import { localCompute } from '../../api/compute.ts';
import type {
  CreateEnvironmentRequest,
  CreatedEnvironment,
  Engine,
  Environment,
} from '../../api/environment.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Client } from '../../client/client.ts';
import type { Connection } from '../connection.ts';
import { describe } from '../errors.ts';
import { folderOnDisk } from '../folder-on-disk.ts';
import { back, inputStep, pickStep, runSteps, type StepItem } from '../submit/multi-step.ts';
import type { Environments } from './environments.ts';
import { asksForPackages, fileGlyph, fileKindOf, filesOfWindow } from './files.ts';
import { type ImageItem, imageItems } from './images.ts';
import { isBuilt } from './kinds.ts';
import { labelOf, namePattern, suggestName } from './reference.ts';
import { submitterEnvironment } from '../submit/environment.ts';

/** What an environment is made of. */
type Source =
  { kind: 'file'; file: string } | { kind: 'image' } | { kind: 'interpreter' } | { kind: 'conda' };

interface Draft {
  source: Source | undefined;
  /** The image, interpreter or conda environment that was typed. */
  value: string;
  name: string;
  /** Where the packages of a file go; undefined: onto the host. */
  image: string | undefined;
}

interface SourceItem extends StepItem {
  source?: Source;
  browse?: boolean;
}

/** *Create Environment...*: asks what of and under which name, and registers it. */
export class CreateEnvironment {
  private readonly connection: Connection;
  private readonly environments: Environments;
  private readonly reveal: (environment: Environment) => Promise<void>;

  constructor(
    connection: Connection,
    environments: Environments,
    reveal: (environment: Environment) => Promise<void>,
  ) {
    this.connection = connection;
    this.environments = environments;
    this.reveal = reveal;
  }

  /** From a file that was clicked, or from anywhere. Gives what was registered. */
  async run(argument: unknown): Promise<CreatedEnvironment | undefined> {
    const clicked = argument instanceof vscode.Uri ? argument : undefined;
    if (clicked && clicked.scheme !== 'file') {
      const text = vscode.l10n.t('"{0}" is not on a disk. Save it into a folder first.', clicked.path);
      throw new RunyardError('bad_request', text);
    }
    const client = await this.connection.client();
    const [known, files] = await Promise.all([this.environments.refresh(), clicked ? [] : filesOfWindow()]);
    const engine = engineSoon(client);
    const draft: Draft = {
      source: clicked && { kind: 'file', file: clicked.fsPath },
      value: '',
      name: '',
      image: undefined,
    };
    const questions = new Questions(draft, known, files, engine, clicked !== undefined);
    for (;;) {
      if (!(await questions.ask())) return undefined;
      try {
        const params = { workspace: this.environments.workspace };
        const created = await client.call('createEnvironment', { params, body: requestOf(draft) });
        const twin = known.find(({ name, hash }) => hash === created.hash && name !== created.name);
        await this.reveal(created);
        void tell(params.workspace, created, twin);
        return created;
      } catch (error) {
        if (!(error instanceof RunyardError) || error.code !== 'bad_request') throw error;
        // What was typed can be corrected; what a file holds cannot be from here.
        if (draft.source?.kind === 'file') throw error;
        void vscode.window.showErrorMessage(describe(error));
      }
    }
  }
}

interface EngineSoon {
  now: Engine | undefined;
  known: Promise<void>;
}

/** The engine of this machine; nothing waits for it, and without one there are only no images to offer. */
function engineSoon(client: Client): EngineSoon {
  const engine: EngineSoon = { now: undefined, known: Promise.resolve() };
  engine.known = client
    .call('getEngine', {
      params: { compute: localCompute },
      body: { environment: submitterEnvironment(process.env) },
    })
    .then(
      (found) => void (engine.now = found),
      () => undefined,
    );
  return engine;
}

class Questions {
  private readonly draft: Draft;
  private readonly known: readonly Environment[];
  private readonly files: readonly vscode.Uri[];
  private readonly engine: EngineSoon;
  private readonly clicked: boolean;

  constructor(
    draft: Draft,
    known: readonly Environment[],
    files: readonly vscode.Uri[],
    engine: EngineSoon,
    clicked: boolean,
  ) {
    this.draft = draft;
    this.known = known;
    this.files = files;
    this.engine = engine;
    this.clicked = clicked;
  }

  async ask(): Promise<boolean> {
    const steps = [
      () => this.askSource(),
      () => this.askValue(),
      () => this.askPlace(),
      () => this.askName(),
    ];
    return (await runSteps(this.clicked ? steps.slice(2) : steps)) === true;
  }

  private get title(): string {
    const { source } = this.draft;
    return source?.kind === 'file'
      ? vscode.l10n.t('Create Environment: {0}', path.basename(source.file))
      : vscode.l10n.t('Create Environment');
  }

  /** How many questions there are depends on the answers: they are not counted. */
  private frame(first = false) {
    return { title: this.title, step: 1, totalSteps: 1, canGoBack: !first && !this.clicked };
  }

  private async askSource(): Promise<typeof back | boolean> {
    const fileItems = this.files.map((uri): SourceItem => {
      const folder = vscode.workspace.asRelativePath(vscode.Uri.joinPath(uri, '..'), true);
      const name = path.basename(uri.fsPath);
      const source: Source = { kind: 'file', file: uri.fsPath };
      return { label: `${fileGlyph(name)} ${name}`, description: folder, source };
    });
    const byHand: SourceItem[] = [
      {
        label: `$(vm) ${vscode.l10n.t('Container Image...')}`,
        description: vscode.l10n.t('runs are containers of it'),
        source: { kind: 'image' },
      },
      {
        label: `$(symbol-misc) ${vscode.l10n.t('Interpreter...')}`,
        description: vscode.l10n.t('a Python that is there, as it is'),
        source: { kind: 'interpreter' },
      },
      {
        label: `$(symbol-namespace) ${vscode.l10n.t('Conda Environment...')}`,
        description: vscode.l10n.t('one that is there, as it is'),
        source: { kind: 'conda' },
      },
      { label: `$(folder-opened) ${vscode.l10n.t('Browse...')}`, browse: true },
    ];
    const separator = (label: string) => ({ label, kind: vscode.QuickPickItemKind.Separator });
    const picked = await pickStep<SourceItem>({
      ...this.frame(true),
      placeholder: vscode.l10n.t(
        'Make it of a requirements.txt, environment.yml, pyproject.toml or Dockerfile, or by hand',
      ),
      items: () => [
        ...(fileItems.length > 0 ? [separator(vscode.l10n.t('files of this folder')), ...fileItems] : []),
        separator(vscode.l10n.t('by hand')),
        ...byHand,
      ],
    });
    if (!picked || picked === back) return picked ?? false;
    const source = picked.browse ? await browse() : picked.source;
    if (!source) return false;
    this.draft.source = source;
    this.draft.value = '';
    this.draft.name = '';
    return true;
  }

  /** What is typed or chosen where no file says it. */
  private async askValue(): Promise<typeof back | boolean> {
    const { source, value } = this.draft;
    if (source?.kind === 'file' || !source) return true;
    if (source.kind === 'image') {
      const picked = await pickStep<ImageItem>({
        ...this.frame(),
        placeholder: vscode.l10n.t('The image; type the name of any other'),
        items: (typed) => imageItems(this.engine.now, typed),
        later: this.engine.known,
        active: ({ image }) => image === value,
      });
      if (!picked || picked === back) return picked ?? false;
      this.draft.value = picked.image;
      return true;
    }
    const conda = source.kind === 'conda';
    const text = await inputStep({
      ...this.frame(),
      value,
      placeholder: conda ? 'ml' : '/usr/bin/python3.12',
      prompt: conda
        ? vscode.l10n.t('The name or the folder of a conda environment on the host')
        : vscode.l10n.t('Path of a Python interpreter on the host, or its name on the path'),
      validate: (typed) => (typed.trim() ? undefined : vscode.l10n.t('Enter a name or a path.')),
    });
    if (text === back || text === undefined) return text ?? false;
    this.draft.value = text.trim();
    return true;
  }

  /** Packages go onto the host, or into an image. */
  private async askPlace(): Promise<typeof back | boolean> {
    const { source } = this.draft;
    if (source?.kind !== 'file' || !asksForPackages(fileKindOf(source.file))) return true;
    const picked = await pickStep<StepItem & { image?: string; host?: boolean }>({
      ...this.frame(this.clicked),
      placeholder: vscode.l10n.t('Where its packages are installed; type the name of any image'),
      active: (item) =>
        this.draft.image === undefined ? item.host === true : item.image === this.draft.image,
      items: (typed) => [
        {
          label: `$(package) ${vscode.l10n.t('On the Host')}`,
          description: vscode.l10n.t('a venv, or a conda environment, as the host has it'),
          host: true,
        },
        { label: vscode.l10n.t('in an image on top of'), kind: vscode.QuickPickItemKind.Separator },
        ...imageItems(this.engine.now, typed),
      ],
      later: this.engine.known,
    });
    if (!picked || picked === back) return picked ?? false;
    this.draft.image = picked.image;
    return true;
  }

  private async askName(): Promise<typeof back | boolean> {
    const { draft, known } = this;
    const names = known.map(({ name }) => name).join(', ');
    const text = await inputStep({
      ...this.frame(this.clicked && this.isOnlyQuestion()),
      canGoBack: !this.isOnlyQuestion(),
      value: draft.name || this.defaultName(),
      prompt: names
        ? vscode.l10n.t('Its name. That of one that is there makes a new version of it: {0}.', names)
        : vscode.l10n.t('Its name; run configurations use it by that'),
      validate: nameProblem,
    });
    if (text === back || text === undefined) return text ?? false;
    draft.name = text.trim();
    return true;
  }

  private isOnlyQuestion(): boolean {
    const { source } = this.draft;
    return this.clicked && source?.kind === 'file' && !asksForPackages(fileKindOf(source.file));
  }

  private defaultName(): string {
    const { source, value } = this.draft;
    if (source?.kind === 'file') return suggestName(path.basename(path.dirname(source.file)));
    if (source?.kind === 'image') return suggestName(value.replace(/^.*\//, ''));
    return suggestName(path.basename(value));
  }
}

/** Why a name cannot be taken. */
export function nameProblem(typed: string): string | undefined {
  return namePattern.test(typed.trim())
    ? undefined
    : vscode.l10n.t('Use letters, digits, spaces, ".", "_" and "-".');
}

async function browse(): Promise<Source | undefined> {
  const folder = folderOnDisk();
  const [file] =
    (await vscode.window.showOpenDialog({
      ...(folder ? { defaultUri: folder } : {}),
      openLabel: vscode.l10n.t('Create Environment'),
    })) ?? [];
  return file && { kind: 'file', file: file.fsPath };
}

function requestOf({ source, value, name, image }: Draft): CreateEnvironmentRequest {
  switch (source?.kind) {
    case 'file':
      return { name, file: source.file, ...(image === undefined ? {} : { image, into: 'image' }) };
    case 'image':
      return { name, definition: { image: value } };
    case 'interpreter':
      return { name, definition: { interpreter: value } };
    default:
      return { name, definition: { condaEnvironment: value } };
  }
}

/** Says what was registered, and what a person should know of it. */
export async function tell(
  workspace: string,
  created: CreatedEnvironment,
  /** Another name that has the same content. */
  twin?: Environment,
): Promise<void> {
  const environment = labelOf(created);
  const said = created.created
    ? vscode.l10n.t('The environment {0} is registered: {1}.', environment, created.summary)
    : vscode.l10n.t('{0} has this very content already; nothing new was registered.', environment);
  const same = twin
    ? [vscode.l10n.t('{0} is the same: what is built of the one serves the other.', labelOf(twin))]
    : [];
  const show =
    created.warnings.length > 0 ? vscode.window.showWarningMessage : vscode.window.showInformationMessage;
  const build = vscode.l10n.t('Build...');
  const definition = vscode.l10n.t('Show Definition');
  const buttons = isBuilt(created.definition) ? [build, definition] : [definition];
  const answer = await show([said, ...same, ...created.warnings].join(' '), ...buttons);
  if (answer === undefined) return;
  const command = answer === build ? 'runyard.buildEnvironment' : 'runyard.showEnvironmentDefinition';
  await vscode.commands.executeCommand(command, { workspace, environment });
}
