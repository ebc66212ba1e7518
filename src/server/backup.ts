import { existsSync, readdirSync } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { backup, DatabaseSync } from 'node:sqlite';
import type { Home } from '../api/home.ts';
import { environmentMigrations } from '../environments/migrations.ts';
import { runMigrations } from '../runs/migrations.ts';
import { snapshotMigrations } from '../runs/snapshots/migrations.ts';
import { appliedMigrations } from '../store/database.ts';
import { storeMigrations } from '../store/writer-loop.ts';

/**
 * Copies each workspace's database to `workspace.before-<what it had>.db` before this server brings it up to
 * date, so that the way back stays open. Called under the lock, before anything is opened for writing.
 */
export async function backUpBeforeMigration(home: Home, log: (line: string) => void): Promise<void> {
  if (!existsSync(home.workspacesDir)) return;
  for (const entry of readdirSync(home.workspacesDir, { withFileTypes: true })) {
    const dir = path.join(home.workspacesDir, entry.name);
    const file = path.join(dir, 'workspace.db');
    if (!entry.isDirectory() || entry.name.startsWith('.') || !existsSync(file)) continue;
    try {
      await backUp(dir, file, log);
    } catch (error) {
      // A workspace that does not open is explained when somebody asks for it.
      log(`no backup of ${file}: ${(error as Error).message}`);
    }
  }
}

async function backUp(dir: string, file: string, log: (line: string) => void): Promise<void> {
  const db = new DatabaseSync(file);
  try {
    const applied = appliedMigrations(db);
    const behind = [storeMigrations, runMigrations, snapshotMigrations, environmentMigrations].some(
      ({ room, steps }) => (applied.get(room) ?? 0) < steps.length,
    );
    if (applied.size === 0 || !behind) return;
    const had = [...applied].map(([room, number]) => `${room}${number}`).join('-');
    const target = path.join(dir, `workspace.before-${had}.db`);
    await rm(`${target}.tmp`, { force: true });
    await backup(db, `${target}.tmp`);
    await rename(`${target}.tmp`, target);
    log(`backed up ${file} to ${target} before the migration`);
  } finally {
    db.close();
  }
}
