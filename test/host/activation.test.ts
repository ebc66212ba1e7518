import assert from 'node:assert/strict';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { test } from '../rig/host-suite.ts';
import type { ExtensionApi } from '../../src/extension/main.ts';

const extension = () => vscode.extensions.getExtension<ExtensionApi>('runyard.runyard')!;

/** The commands that the manifest contributes. */
function contributed(): { command: string; title: string; category?: string }[] {
  const manifest = JSON.parse(readFileSync(path.join(extension().extensionPath, 'package.json'), 'utf8')) as {
    contributes: { commands: { command: string; title: string; category?: string }[] };
  };
  return manifest.contributes.commands;
}

test('activation starts nothing: no server, no home', async () => {
  const api = await extension().activate();
  assert.equal(api.connected, false);
  assert.equal(existsSync(process.env['RUNYARD_HOME']!), false, 'no folder was made');
  console.log(`activate() took ${api.activationMs.toFixed(1)} ms`);
});

test('every command of the manifest is there, and no other', async () => {
  const there = (await vscode.commands.getCommands(true)).filter(
    (id) =>
      /^runyard\.\w+$/.test(id) &&
      !/^runyard\.(workspaces|experiments|compute|environments|models|snapshot|comparison)$/.test(id),
  );
  const wanted = contributed().map(({ command }) => command);
  assert.deepEqual(there.sort(), wanted.sort());
});

test('the manifest: texts for every key, a category for every command', () => {
  const root = extension().extensionPath;
  const texts = JSON.parse(readFileSync(path.join(root, 'package.nls.json'), 'utf8')) as Record<
    string,
    string
  >;
  const manifest = readFileSync(path.join(root, 'package.json'), 'utf8');
  for (const [, key] of manifest.matchAll(/"%([\w.]+)%"/g)) assert.ok(texts[key!], `no text for ${key}`);
  for (const key of Object.keys(texts)) assert.ok(manifest.includes(`%${key}%`), `${key} is not used`);
  for (const { command, category } of contributed()) assert.equal(category, 'Runyard', command);
});
