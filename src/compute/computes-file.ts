import { readFileSync } from 'node:fs';
import { mkdir, open, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import * as z from 'zod';
import { computeNameSchema, computeSettingsSchema, type ComputeSettings } from '../api/compute.ts';
import { RunyardError, systemErrorCode } from '../api/errors.ts';

const fileSchema = z.object({
  version: z.literal(1),
  computes: z.array(z.object({ name: computeNameSchema }).and(z.record(z.string(), z.unknown()))),
});

/** The compute targets a person has added: `<home>/computes.json`, replaced atomically. */
export class ComputesFile {
  private readonly file: string;

  constructor(file: string) {
    this.file = file;
  }

  /** In order of addition. Throws RunyardError when the file is damaged: nothing is written over it then. */
  read(): Map<string, ComputeSettings> {
    let text: string;
    try {
      text = readFileSync(this.file, 'utf8');
    } catch (cause) {
      if (systemErrorCode(cause) === 'ENOENT') return new Map();
      throw cause;
    }
    try {
      const { computes } = fileSchema.parse(JSON.parse(text));
      return new Map(computes.map(({ name, ...settings }) => [name, computeSettingsSchema.parse(settings)]));
    } catch (cause) {
      throw new RunyardError(
        'conflict',
        `${this.file} cannot be read: it is damaged, or of a newer version.`,
        {
          action: 'Mend it, or move it away and add the compute targets again.',
          cause,
        },
      );
    }
  }

  async write(computes: ReadonlyMap<string, ComputeSettings>): Promise<void> {
    const temporary = `${this.file}.${process.pid}.tmp`;
    const content = {
      version: 1,
      computes: [...computes].map(([name, settings]) => ({ name, ...settings })),
    };
    await mkdir(path.dirname(this.file), { recursive: true, mode: 0o700 });
    try {
      const handle = await open(temporary, 'w', 0o600);
      try {
        await handle.writeFile(`${JSON.stringify(content, null, 2)}\n`);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(temporary, this.file);
    } catch (error) {
      await rm(temporary, { force: true }).catch(() => undefined);
      throw error;
    }
  }
}
