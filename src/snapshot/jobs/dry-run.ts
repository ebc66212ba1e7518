import type { DryRunLine } from '../../api/entities.ts';
import { readableFolder, resolved } from '../folder.ts';
import { leftOutByGit } from '../left-out.ts';
import { byBytes, type LeftOut } from '../listing.ts';
import { textOf } from '../path-text.ts';
import { surveyFolder } from '../survey.ts';
import { Field, State } from '../table.ts';
import type { Job } from './context.ts';
import type { JobTools } from './tools.ts';

export interface DryRunArgs {
  folder: string;
  home: string;
}

const partCharacters = 1 << 16;

/** Every path that a snapshot would take, every one that it would not and why, and the sum: a JSON line each. */
export function dryRun({ crew }: JobTools): Job<DryRunArgs, void> {
  return async ({ folder, home }, context) => {
    const root = Buffer.from(readableFolder(folder)).toString('latin1');
    const leftOut: LeftOut[] = [];
    const survey = await surveyFolder(root, resolved(home), crew, context, { leftOut });
    const { table, emptyFolders, files, bytes } = survey;
    leftOut.push(...(await leftOutByGit(survey, resolved(home), leftOut)));
    let text = '';
    const write = (line: DryRunLine) => {
      text += `${JSON.stringify(line)}\n`;
      if (text.length < partCharacters) return;
      context.throwIfCanceled();
      flush();
    };
    const flush = () => {
      if (text) context.emit(new TextEncoder().encode(text));
      text = '';
    };
    for (let i = 0; i < table.count; i++) {
      const state = table.states[i];
      if (state !== State.file && state !== State.link) continue;
      const kind = state === State.file ? 'file' : 'link';
      write({ taken: textOf(table.name(i)), kind, size: kind === 'file' ? table.stat(i, Field.size) : 0 });
    }
    for (const name of emptyFolders) write({ taken: textOf(name), kind: 'folder', size: 0 });
    leftOut.sort((a, b) => byBytes(a.name, b.name));
    for (const { name, ...why } of leftOut) write({ leftOut: textOf(name), ...why });
    write({ files, bytes });
    flush();
  };
}
