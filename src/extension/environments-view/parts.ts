import * as vscode from 'vscode';
import type { RunPicker } from '../activity/pick.ts';
import type { Command } from '../commands.ts';
import type { Computes } from '../computes/computes.ts';
import type { Connector } from '../computes/connect.ts';
import type { Connection } from '../connection.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { RunRef } from '../run-ref.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import { Builder } from './build.ts';
import { environmentCommands } from './commands.ts';
import { CreateEnvironment } from './create.ts';
import { DefinitionDocuments, definitionScheme } from './definition-document.ts';
import { Environments } from './environments.ts';
import { EnvironmentPicker } from './pick.ts';
import { RunEnvironmentActions } from './run-environment.ts';
import { EnvironmentsView } from './view.ts';

export interface EnvironmentServices {
  connection: Connection;
  live: Live;
  choice: WorkspaceChoice;
  log: Log;
  computes: Computes;
  connector: Connector;
  runs: Pick<RunPicker, 'ask'>;
  open(ref: RunRef): Promise<unknown>;
  submit(environment: string): unknown;
}

/** Everything of environments, wired. */
export class EnvironmentParts implements vscode.Disposable {
  readonly view: EnvironmentsView;
  readonly commands: Command[];
  /** What a run's page needs. */
  readonly ofRuns: RunEnvironmentActions;
  private readonly parts: vscode.Disposable[];

  constructor(services: EnvironmentServices) {
    const { connection, live, choice, log, computes, connector, open, submit } = services;
    const environments = new Environments(connection, choice, computes, live, log);
    this.view = new EnvironmentsView(environments, live, choice, log);
    const picker = new EnvironmentPicker(environments, () => this.view.selected);
    const builder = new Builder(connection, computes, connector, environments);
    const reveal = (environment: { name: string; version: number }) => this.view.reveal(environment);
    const create = new CreateEnvironment(connection, environments, reveal);
    this.commands = environmentCommands({
      connection,
      environments,
      picker,
      create,
      builder,
      reveal,
      open,
      submit,
    });
    this.ofRuns = new RunEnvironmentActions(connection, services.runs, reveal);
    this.parts = [
      environments,
      this.view,
      builder,
      vscode.workspace.registerTextDocumentContentProvider(
        definitionScheme,
        new DefinitionDocuments(connection),
      ),
    ];
  }

  dispose(): void {
    for (const part of [...this.parts].reverse()) part.dispose();
  }
}
