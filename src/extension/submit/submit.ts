import { randomUUID } from 'node:crypto';
import * as vscode from 'vscode';
import { localCompute } from '../../api/compute.ts';
import { RunyardError } from '../../api/errors.ts';
import type { FoundConfiguration, Run } from '../../api/entities.ts';
import type { SubmitRequest } from '../../api/requests.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import type { Connection } from '../connection.ts';
import { describe, RemedyError } from '../errors.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { ComputeActions } from './compute-actions.ts';
import { AcceptedConcerns } from './before/accepted.ts';
import { BeforeSubmit } from './before/settle.ts';
import { submitterEnvironment } from './environment.ts';
import { Interpreters } from './interpreter.ts';
import { AnswersMemory } from './memory.ts';
import { back } from './multi-step.ts';
import { editConfiguration, newConfiguration, pickConfiguration } from './pick-configuration.ts';
import { askQuestions, configurationOf } from './questions.ts';
import { saveConfiguration } from './save-configuration.ts';
import { SubmitSession } from './session.ts';
import { followStart } from './start-progress.ts';
import { type SubmitTarget, targetOf } from './target.ts';
import { requireTrust } from './trust.ts';
import { settleUnsaved } from './unsaved.ts';

type Request = Omit<SubmitRequest, 'environment' | 'requestId' | 'folder'>;

/** *Submit Run*: asks what is to be run, and submits it. */
export class Submitter {
  private readonly connection: Connection;
  private readonly choice: WorkspaceChoice;
  private readonly memory: AnswersMemory;
  private readonly accepted: AcceptedConcerns;
  private readonly interpreters: Interpreters;
  private readonly live: Live;
  private readonly actions: ComputeActions;
  private readonly log: Log;
  private readonly submitted: (workspace: string, run: Run) => Promise<void>;

  constructor(
    connection: Connection,
    choice: WorkspaceChoice,
    live: Live,
    actions: ComputeActions,
    memento: vscode.Memento,
    log: Log,
    submitted: (workspace: string, run: Run) => Promise<void>,
  ) {
    this.connection = connection;
    this.choice = choice;
    this.live = live;
    this.actions = actions;
    this.log = log;
    this.memory = new AnswersMemory(memento);
    this.accepted = new AcceptedConcerns(memento);
    this.interpreters = new Interpreters(log);
    this.submitted = submitted;
  }

  /** The command: from a click on a folder or a file, or from anywhere. Gives the run, if there is one. */
  async command(argument: unknown): Promise<Run | undefined> {
    requireTrust();
    const target = await targetOf(argument);
    if (!target) return undefined;
    return this.ask(await this.openSession(target));
  }

  /** The same, in an environment (`digits:2`) that is chosen already. */
  async inEnvironment(environment: string): Promise<Run | undefined> {
    requireTrust();
    const target = await targetOf(undefined);
    if (!target) return undefined;
    const session = await this.openSession(target);
    const [, name = environment, version = ''] = /^(.*):(\d+)$/.exec(environment) ?? [];
    session.preset = { kind: 'named', name, version: Number(version) };
    return this.ask(session);
  }

  private async ask(session: SubmitSession): Promise<Run | undefined> {
    const request = await this.askWhat(session);
    if (!request || !(await settleUnsaved(session.target.folder))) return undefined;
    return this.settleAndSend(session, request);
  }

  /** Submits a named configuration of a folder without asking what (the person has confirmed already). */
  async named(folder: vscode.Uri, configurationName: string): Promise<Run | undefined> {
    requireTrust();
    const session = await this.openSession({ folder });
    const found = session.configurations.find((c) => c.name === configurationName);
    if (!found) {
      throw new RemedyError(
        vscode.l10n.t('The folder "{0}" has no run configuration "{1}".', folder.fsPath, configurationName),
        [],
      );
    }
    if (found.problem) throw this.unusable(session, found);
    if (!(await this.ready(session, found)) || !(await settleUnsaved(folder))) return undefined;
    return this.settleAndSend(session, requestOf(session, found));
  }

  private async openSession(target: SubmitTarget): Promise<SubmitSession> {
    const location = vscode.ProgressLocation.Window;
    const title = vscode.l10n.t('Runyard: looking at the folder...');
    return vscode.window.withProgress({ location, title }, async () => {
      const client = await this.connection.client();
      const workspace = await this.choice.name(target.folder);
      const { interpreters, memory, actions } = this;
      return SubmitSession.open(client, workspace, target, interpreters, memory, actions);
    });
  }

  private async askWhat(session: SubmitSession): Promise<Request | undefined> {
    for (;;) {
      const found = session.configurations.length > 0 ? await pickConfiguration(session) : newConfiguration;
      if (!found) return undefined;
      if (found !== newConfiguration) {
        if (!(await this.ready(session, found))) return undefined;
        await session.remember({ configuration: found.name });
        return requestOf(session, found);
      }
      const answers = await askQuestions(session);
      if (answers === back) continue;
      if (!answers) return undefined;
      await session.remember(answers);
      // A wrong password or a missing Python is said before anything is written.
      if (!(await this.actions.ready(answers.compute))) return undefined;
      const configuration = configurationOf(answers);
      const name = await saveConfiguration(session, configuration);
      if (name === false) return undefined;
      if (name) await session.remember({ configuration: name });
      return {
        ...(name ? { configurationName: name } : { configuration }),
        experiment: answers.experiment,
        ...session.interpreterFor(answers.compute, answers.docker),
      };
    }
  }

  /** Connects to the target of a run configuration. */
  private async ready(session: SubmitSession, found: FoundConfiguration): Promise<boolean> {
    if (found.problem) return true;
    const target = found.configuration?.target ?? localCompute;
    try {
      if (!(await this.actions.ready(target))) return false;
      const compute = session.computes.find(({ name }) => name === target);
      const docker = wantsDocker(found.configuration);
      return !docker || !compute || (await session.choices.readyAsFarAsKnown(compute));
    } catch (error) {
      if (!(error instanceof RunyardError) || error.code !== 'not_found') throw error;
      const add = {
        label: vscode.l10n.t('Add Compute...'),
        run: () => vscode.commands.executeCommand('runyard.addCompute'),
      };
      throw new RemedyError(describe(error), [this.editRemedy(session, found), add], error);
    }
  }

  private async settleAndSend(session: SubmitSession, request: Request): Promise<Run | undefined> {
    const { configurationName, configuration, interpreter } = request;
    const PATH = process.env['PATH'];
    const look = {
      folder: session.folder,
      ...(configurationName === undefined ? {} : { configurationName }),
      ...(configuration === undefined ? {} : { configuration }),
      ...(interpreter === undefined ? {} : { interpreter }),
      ...(PATH === undefined ? {} : { path: PATH }),
    };
    const before = new BeforeSubmit(session.client, this.accepted, look, session.folderName);
    try {
      if (!(await before.settle())) return undefined;
    } catch (error) {
      throw this.withRemedies(session, request, error);
    }
    return this.send(session, request);
  }

  /** Gives the run as soon as there is one; the notification stays until its snapshot is on its way. */
  private send(session: SubmitSession, request: Request): Promise<Run | undefined> {
    const title = vscode.l10n.t('Submitting {0}', session.folderName);
    const location = vscode.ProgressLocation.Notification;
    const { client, workspace } = session;
    return new Promise((resolve, reject) => {
      void vscode.window.withProgress({ location, title, cancellable: true }, async (progress, token) => {
        try {
          const run = await this.post(session, request, token);
          if (!run) return resolve(undefined);
          const started = followStart(this.live, client, workspace, run, progress, token);
          started.catch((error: unknown) => this.log.error('The start of a run cannot be followed', error));
          await this.submitted(workspace, run);
          resolve(run);
          await started.catch(() => undefined);
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  private async post(
    session: SubmitSession,
    request: Request,
    token: vscode.CancellationToken,
  ): Promise<Run | undefined> {
    const abort = new AbortController();
    token.onCancellationRequested(() => abort.abort());
    const params = { workspace: session.workspace };
    const body: SubmitRequest = {
      ...request,
      folder: session.folder,
      environment: submitterEnvironment(process.env),
      requestId: randomUUID(),
    };
    let run: Run;
    try {
      run = await session.client.call('submitRun', { params, body, signal: abort.signal });
    } catch (error) {
      throw this.withRemedies(session, request, error);
    }
    if (!token.isCancellationRequested) return run;
    await session.client.call('cancelRun', { params: { ...params, run: run.id } });
    return undefined;
  }

  private withRemedies(session: SubmitSession, request: Request, error: unknown): unknown {
    const found = session.configurations.find((c) => c.name === request.configurationName);
    if (!(error instanceof RunyardError) || error.code !== 'bad_request' || !found) return error;
    const message = [error.message, error.action].filter(Boolean).join(' ');
    return new RemedyError(message, [this.editRemedy(session, found)], error);
  }

  private unusable(session: SubmitSession, found: FoundConfiguration): RemedyError {
    return new RemedyError(found.problem ?? '', [this.editRemedy(session, found)]);
  }

  private editRemedy(session: SubmitSession, found: FoundConfiguration) {
    return {
      label: vscode.l10n.t('Edit Run Configuration'),
      run: () => editConfiguration(session.folder, found.path),
    };
  }
}

/** Whether a run of it is a container, as far as the configuration itself says. */
function wantsDocker(configuration: RunConfiguration | null): boolean {
  const { docker, environment } = configuration ?? {};
  const said = docker?.useDocker ?? docker?.enabled ?? environment?.docker?.useDocker;
  return said ?? environment?.docker?.enabled ?? false;
}

function requestOf(session: SubmitSession, found: FoundConfiguration): Request {
  const { preset } = session;
  return {
    ...(preset?.kind === 'named' ? { useEnvironment: `${preset.name}:${preset.version}` } : {}),
    configurationName: found.name,
    experiment: found.configuration?.experiment ?? session.defaultExperiment,
    ...session.interpreterFor(found.configuration?.target ?? localCompute),
  };
}
