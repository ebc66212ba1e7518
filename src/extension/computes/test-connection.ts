import * as vscode from 'vscode';
import { isOverSsh, type ConnectionTest } from '../../api/compute.ts';
import type { Connection } from '../connection.ts';
import { isCancellation } from '../errors.ts';
import type { Computes } from './computes.ts';
import { agentBody, type Prompts } from './prompts.ts';
import { describeFix, summary, type Report } from './report-html.ts';
import type { TestReports } from './test-reports.ts';
import { submitterEnvironment } from '../submit/environment.ts';

export interface TestServices {
  connection: Connection;
  computes: Computes;
  prompts: Prompts;
  reports: TestReports;
}

/** *Test Connection*: does it with progress, and shows what was found. */
export async function testConnection(
  services: TestServices,
  name: string,
): Promise<ConnectionTest | undefined> {
  const report = await runTest(services, name);
  if (report) showTest(services, report);
  return report?.test;
}

/** Undefined: the person does not want to wait for it. */
export async function runTest(services: TestServices, name: string): Promise<Report | undefined> {
  const { connection, computes, prompts } = services;
  const client = await connection.client();
  const title = vscode.l10n.t('Testing the connection to {0}', name);
  const location = vscode.ProgressLocation.Notification;
  let test: ConnectionTest;
  try {
    test = await vscode.window.withProgress({ location, title, cancellable: true }, (_, token) => {
      const abort = new AbortController();
      token.onCancellationRequested(() => {
        abort.abort();
        return prompts.dismiss(name);
      });
      const params = { compute: name };
      return prompts.attend(name, async () => {
        const body = agentBody();
        const environment = submitterEnvironment(process.env);
        const asked = { ...body, environment };
        const result = await client.call('testCompute', { params, body: asked, signal: abort.signal });
        // What was answered proves right, or not, before this window stops attending to it.
        await computes.look(name);
        return result;
      });
    });
  } catch (error) {
    if (isCancellation(error)) return undefined;
    throw error;
  }
  const { address = null, settings = null } = computes.get(name) ?? {};
  return { name, address, isOverSsh: settings !== null && isOverSsh(settings), time: Date.now(), test };
}

export function showTest(services: TestServices, report: Report): void {
  services.reports.show(report);
  void tell(services, report);
}

/** Changes the settings as a step of the test proposes, and tests again. */
export async function applyFix(services: TestServices, { name, test }: Report, step: number): Promise<void> {
  const fix = test.steps[step]?.fix;
  if (!fix) return;
  const client = await services.connection.client();
  services.computes.take(await client.call('updateCompute', { params: { compute: name }, body: fix }));
  await testConnection(services, name);
}

async function tell(services: TestServices, report: Report): Promise<void> {
  const { test } = report;
  const show = test.ok ? vscode.window.showInformationMessage : vscode.window.showErrorMessage;
  const step = test.steps.findIndex(({ fix }) => fix !== null);
  const fix = vscode.l10n.t('Set {0}', describeFix(test.steps[step]?.fix ?? null));
  const details = vscode.l10n.t('Show Details');
  const buttons = [...(step < 0 ? [] : [fix]), ...(test.ok ? [] : [details])];
  const answer = await show(summary(report), ...buttons);
  if (answer === details) services.reports.show(report);
  if (answer === fix) await applyFix(services, report, step);
}
