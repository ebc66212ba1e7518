import * as vscode from 'vscode';
import type { Command } from '../commands.ts';
import type { Connection } from '../connection.ts';
import { showError } from '../errors.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import type { WorkspaceChoice } from '../workspace-choice.ts';
import type { ComputeActions } from '../submit/compute-actions.ts';
import { AddCompute } from './add.ts';
import { computeCommands } from './commands.ts';
import { Computes } from './computes.ts';
import { Connector } from './connect.ts';
import { ComputeEditor } from './edit.ts';
import { ComputePicker } from './pick.ts';
import { Prompts } from './prompts.ts';
import { followRemoteSsh } from './remote-window.ts';
import type { Report, ReportMessage } from './report-html.ts';
import { SecretStore } from './secret-store.ts';
import { SetupFileSystem, setupScheme } from './setup-document.ts';
import { applyFix } from './test-connection.ts';
import { TestReports } from './test-reports.ts';
import { ComputeView } from './view.ts';

/** Everything of compute targets, wired. */
export class ComputeParts implements vscode.Disposable {
  readonly computes: Computes;
  readonly connector: Connector;
  readonly add: AddCompute;
  readonly editor: ComputeEditor;
  readonly view: ComputeView;
  readonly commands: Command[];
  /** What a submit needs. */
  readonly actions: ComputeActions;
  private readonly parts: vscode.Disposable[];

  constructor(
    context: vscode.ExtensionContext,
    services: { connection: Connection; live: Live; choice: WorkspaceChoice; log: Log },
  ) {
    const { connection, live, choice, log } = services;
    this.computes = new Computes(connection, live, log);
    const { computes } = this;
    const store = new SecretStore(context.secrets, context.globalState);
    const prompts = new Prompts(connection, live, choice, computes, store, log);
    this.connector = new Connector(connection, prompts, computes, log);
    this.add = new AddCompute(connection, computes);
    this.editor = new ComputeEditor(connection, computes);
    this.view = new ComputeView(computes, live, choice, log);
    const media = vscode.Uri.joinPath(context.extensionUri, 'media');
    const act = async (report: Report, message: ReportMessage) => {
      try {
        await (message.action === 'fix'
          ? applyFix(test, report, message.step)
          : vscode.commands.executeCommand(reportActions[message.action], report.name));
      } catch (error) {
        showError('connection test', error, log);
      }
    };
    const reports = new TestReports(media, act);
    const test = { connection, computes, prompts, reports };
    const picker = new ComputePicker(computes, () => this.view.selected);
    const { connector, add, editor } = this;
    this.commands = computeCommands({ connection, computes, connector, picker, add, editor, store, test });
    this.actions = {
      list: () => computes.refresh(),
      add: async () => vscode.commands.executeCommand<string | undefined>('runyard.addCompute'),
      editInterpreter: (name) => editor.edit(name, 'interpreter'),
      ready: (name) => connector.ready(name),
    };
    const setup = new SetupFileSystem(connection, computes, log);
    this.parts = [
      computes,
      prompts,
      this.view,
      reports,
      setup,
      vscode.workspace.registerFileSystemProvider(setupScheme, setup, { isCaseSensitive: true }),
      followRemoteSsh(),
    ];
  }

  dispose(): void {
    for (const part of [...this.parts].reverse()) part.dispose();
  }
}

const reportActions = {
  test: 'runyard.testCompute',
  edit: 'runyard.editCompute',
  setup: 'runyard.editComputeSetup',
  terminal: 'runyard.openComputeTerminal',
} as const;
