import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import * as vscode from 'vscode';
import { test } from '../../rig/host-suite.ts';
import type { ExtensionApi } from '../../../src/extension/main.ts';

/** Some of VS Code's own, which nothing has activated yet. */
const peers = ['vscode.emmet', 'vscode.npm', 'vscode.grunt', 'vscode.gulp', 'vscode.extension-editing'];

interface Activation {
  /** Reading, compiling and running the bundle, ms. */
  load: number;
  /** The whole call, the editor's own messages to and fro included, ms. */
  call: number;
}

/** Loads an extension's code, then has it activated; undefined when it is not there or active already. */
async function activation(id: string): Promise<Activation | undefined> {
  const extension = vscode.extensions.getExtension<ExtensionApi>(id);
  if (!extension || extension.isActive) return undefined;
  const manifest = extension.packageJSON as { main: string };
  const main = path.join(extension.extensionPath, manifest.main);
  const start = performance.now();
  createRequire(main)(main);
  const loaded = performance.now();
  await extension.activate();
  return { load: loaded - start, call: performance.now() - loaded };
}

test('activation', async () => {
  const ours = await activation('runyard.runyard');
  const { activationMs } = vscode.extensions.getExtension<ExtensionApi>('runyard.runyard')!.exports;
  const others: Record<string, Activation> = {};
  for (const id of peers) {
    const measured = await activation(id).catch(() => undefined);
    if (measured) others[id] = measured;
  }
  writeFileSync(process.env['RUNYARD_BENCH_FILE']!, JSON.stringify({ ours, activationMs, others }));
});
