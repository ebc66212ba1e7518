import assert from 'node:assert/strict';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { test } from 'node:test';
import { resolveHome, socketFolderIsSafe } from '../../../src/api/home.ts';

test('a long home has its socket elsewhere; a folder that others may write is not used, nor a link', () => {
  const long = resolveHome(`/${'x'.repeat(120)}`);
  assert.ok(Buffer.byteLength(long.socket) <= 100);
  const dir = mkdtempSync(path.join(os.tmpdir(), 'ry-home-'));
  try {
    const folder = path.join(dir, 'server');
    const socket = path.join(folder, 'control.sock');
    assert.ok(socketFolderIsSafe(socket), 'not there yet');
    mkdirSync(folder, { mode: 0o700 });
    assert.ok(socketFolderIsSafe(socket));
    chmodSync(folder, 0o755);
    assert.ok(!socketFolderIsSafe(socket), 'open to others');
    chmodSync(folder, 0o700);
    symlinkSync(folder, path.join(dir, 'link'));
    assert.ok(!socketFolderIsSafe(path.join(dir, 'link/control.sock')), 'a link');
  } finally {
    rmSync(dir, { recursive: true });
  }
});
