import * as vscode from 'vscode';
import { localCompute, type Compute } from '../../api/compute.ts';
import { RunyardError } from '../../api/errors.ts';
import type { Connection } from '../connection.ts';
import { describe, isCancellation, RemedyError, type Remedy } from '../errors.ts';
import type { Log } from '../log.ts';
import type { Computes } from './computes.ts';
import { agentBody, type Prompts } from './prompts.ts';
import { slowProgress } from './slow-progress.ts';

/** Connects to targets because a person wants it. */
export class Connector {
  private readonly connection: Connection;
  private readonly prompts: Prompts;
  private readonly computes: Computes;
  private readonly log: Log;

  constructor(connection: Connection, prompts: Prompts, computes: Computes, log: Log) {
    this.connection = connection;
    this.prompts = prompts;
    this.computes = computes;
    this.log = log;
  }

  /** Throws with what to do about it, and a cancellation when the person gave up. */
  async connect(name: string): Promise<Compute> {
    try {
      const compute = await this.call(name);
      this.computes.take(compute);
      return compute;
    } catch (error) {
      throw withRemedies(name, error);
    }
  }

  /**
   * Before a run goes there: what keeps it from starting is said before anything is written. A host that is
   * only out of reach may be waited for. False: the person does not want it.
   */
  async ready(name: string): Promise<boolean> {
    if (name === localCompute) return true;
    try {
      this.computes.take(await this.call(name));
      return true;
    } catch (error) {
      if (isCancellation(error)) return false;
      if (!(error instanceof RunyardError)) throw error;
      if (error.code !== 'unavailable') throw withRemedies(name, error);
      this.log.error(`${name} cannot be reached`, error);
      return submitAllTheSame(name, error);
    }
  }

  private async call(name: string): Promise<Compute> {
    const client = await this.connection.client();
    const params = { compute: name };
    return this.prompts.attend(name, () =>
      slowProgress(
        vscode.l10n.t('Connecting to {0}...', name),
        (signal) => client.call('connectCompute', { params, body: agentBody(), signal }),
        () => this.prompts.dismiss(name),
      ),
    );
  }
}

async function submitAllTheSame(name: string, error: RunyardError): Promise<boolean> {
  const submit = vscode.l10n.t('Submit All the Same');
  const message = vscode.l10n.t('{0} cannot be reached now. The run would wait for it.', name);
  const options = { modal: true, detail: describe(error) };
  return (await vscode.window.showWarningMessage(message, options, submit)) === submit;
}

/** Where a connection fails, its test says most. */
function withRemedies(name: string, error: unknown): unknown {
  if (!(error instanceof RunyardError) || !['not_permitted', 'unavailable'].includes(error.code))
    return error;
  const remedies: Remedy[] = [
    {
      label: vscode.l10n.t('Test Connection'),
      run: () => vscode.commands.executeCommand('runyard.testCompute', name),
    },
    {
      label: vscode.l10n.t('Edit...'),
      run: () => vscode.commands.executeCommand('runyard.editCompute', name),
    },
  ];
  const text = describe(error);
  // Some of the reasons say which host they are about.
  const message = text.includes(name) ? text : vscode.l10n.t('{0}: {1}', name, text);
  return new RemedyError(message, remedies, error);
}
