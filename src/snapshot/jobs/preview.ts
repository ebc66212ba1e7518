import type { Concern, SnapshotPreview } from '../../api/entities.ts';
import { RunyardError } from '../../api/errors.ts';
import { argumentConcerns, editableInstalls, secretConcerns } from '../concerns.ts';
import { readableFolder, resolved } from '../folder.ts';
import { heaviestOf } from '../heaviest.ts';
import { ignoreFileOf } from '../list-folder.ts';
import { textOf } from '../path-text.ts';
import { linkTarget, surveyFolder, type Survey } from '../survey.ts';
import { State } from '../table.ts';
import type { Job } from './context.ts';
import type { JobTools } from './tools.ts';

export interface PreviewArgs {
  folder: string;
  home: string;
  /** What is going to run: its arguments are looked at. */
  arguments: string[];
  /** Absolute path of the interpreter, to see what is installed editable. */
  interpreter: string | null;
}

/** Azure ML v1's limits: beyond them a person should look at what is sent. */
const largeBytes = 300 * 1024 * 1024;
const largeFiles = 2000;

/** What a snapshot would be, without storing anything; see `Snapshots.preview`. */
export function preview({ crew }: JobTools): Job<PreviewArgs, SnapshotPreview> {
  return async ({ folder, home, arguments: args, interpreter }, context) => {
    const real = readableFolder(folder);
    const root = Buffer.from(real).toString('latin1');
    const survey = await surveyFolder(root, resolved(home), crew, context);
    const { files, bytes } = survey;
    const large = bytes > largeBytes || files > largeFiles;
    return {
      files,
      bytes,
      large,
      ignoreFile: ignoreFileOf(root),
      heaviest: large ? heaviestOf(survey) : [],
      concerns: [
        ...refusedLinks(survey),
        ...secretConcerns(survey),
        ...argumentConcerns(survey, args),
        ...(interpreter ? editableInstalls(real, interpreter) : []),
        ...survey.warnings.map((message): Concern => ({ kind: 'left_out', path: '', message })),
      ],
    };
  };
}

/** Links that point outside: the snapshot would be refused. */
function refusedLinks({ root, table }: Survey): Concern[] {
  const found: Concern[] = [];
  for (let i = 0; i < table.count && found.length < 20; i++) {
    if (table.states[i] !== State.link) continue;
    try {
      linkTarget(root, table.name(i));
    } catch (error) {
      if (!(error instanceof RunyardError)) throw error;
      const { message, action } = error;
      found.push({ kind: 'refused', path: textOf(table.name(i)), message, ...(action ? { action } : {}) });
    }
  }
  return found;
}
