import { parentPort } from 'node:worker_threads';
import { runMigrations } from '../runs/migrations.ts';
import { snapshotMigrations } from '../runs/snapshots/migrations.ts';
import { snapshotWrites } from '../runs/snapshots/writes.ts';
import { runWrites } from '../runs/writes.ts';
import { runWriterLoop } from '../store/writer-loop.ts';

// The writer thread of a server: every capability's changes and migrations, put together.
runWriterLoop(parentPort!, { ...runWrites(), ...snapshotWrites }, [runMigrations, snapshotMigrations]);
