import { parentPort } from 'node:worker_threads';
import { environmentMigrations } from '../environments/migrations.ts';
import { environmentWrites } from '../environments/writes.ts';
import { runMigrations } from '../runs/migrations.ts';
import { snapshotMigrations } from '../runs/snapshots/migrations.ts';
import { snapshotWrites } from '../runs/snapshots/writes.ts';
import { runWrites } from '../runs/writes.ts';
import { runWriterLoop } from '../store/writer-loop.ts';

// The writer thread of a server: every capability's changes and migrations, put together.
runWriterLoop(parentPort!, { ...runWrites(), ...snapshotWrites, ...environmentWrites }, [
  runMigrations,
  snapshotMigrations,
  environmentMigrations,
]);
