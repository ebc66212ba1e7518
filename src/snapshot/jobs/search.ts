import { readFileSync } from 'node:fs';
import type { SearchMatch } from '../../api/entities.ts';
import { systemErrorCode } from '../../api/errors.ts';
import { missingContent } from '../copy-blob.ts';
import { readManifest } from '../manifest.ts';
import { LineMatcher, type TextFile } from '../line-matcher.ts';
import type { Job } from './context.ts';
import type { JobTools } from './tools.ts';

export interface SearchArgs {
  /** Folder of the workspace's blobs. */
  blobs: string;
  id: string;
  query: string;
  regex: boolean;
  caseSensitive: boolean;
  limit: number;
}

export interface SearchResult {
  matches: SearchMatch[];
  more: boolean;
}

/** Larger files are no text that a person wrote. */
const mostBytes = 20 * 1024 * 1024;
/** Texts are looked through some at a time, for a time limit costs something. */
const charactersAtOnce = 1024 * 1024;
/** As git and editors do: a NUL near the beginning makes a file binary. */
const binaryWithin = 8 * 1024;

/** Lines of a snapshot's text files that match. Throws `bad_request` for an expression that is none. */
export function search({ open }: Pick<JobTools, 'open'>): Job<SearchArgs, SearchResult> {
  return async ({ blobs, id, limit, ...what }, context) => {
    const folder = open(blobs);
    const matcher = new LineMatcher(what);
    const matches: SearchMatch[] = [];
    let waiting: TextFile[] = [];
    let characters = 0;
    /** True once there are more matches than wanted: one more shows it. */
    const look = (): boolean => {
      for (const found of matcher.matches(waiting, limit + 1 - matches.length)) {
        if (matches.length === limit) return true;
        matches.push(found);
      }
      waiting = [];
      characters = 0;
      return false;
    };
    let [files, bytes] = [0, 0];
    for await (const entries of readManifest(folder, id)) {
      for (const entry of entries) {
        context.throwIfCanceled();
        if (!('hash' in entry) || entry.size > mostBytes || entry.size === 0) continue;
        const content = readBlob(folder.pathOf(entry.hash), entry.path);
        files++;
        bytes += content.length;
        context.progress({ stage: 'listing', files, bytes, totalFiles: null, totalBytes: null });
        if (content.subarray(0, binaryWithin).includes(0) || !matcher.mayMatch(content)) continue;
        const text = new TextDecoder().decode(content);
        waiting.push({ path: entry.path, text });
        characters += text.length;
        if (characters > charactersAtOnce && look()) return { matches, more: true };
      }
    }
    return { more: look(), matches };
  };
}

function readBlob(file: string, path: string): Buffer {
  try {
    return readFileSync(file);
  } catch (cause) {
    throw systemErrorCode(cause) === 'ENOENT' ? missingContent(path) : cause;
  }
}
