import type { SnapshotPreview } from '../api/entities.ts';
import { byBytes, parentOf } from './listing.ts';
import { textOf } from './path-text.ts';
import type { Survey } from './survey.ts';
import { Field, State } from './table.ts';

type Heavy = SnapshotPreview['heaviest'];

interface Weight {
  folder: boolean;
  files: number;
  bytes: number;
}

/** What is shown at most, and what of the whole something must weigh to be worth a line. */
const mostLines = 40;
const mostChildren = 8;
const leastShare = 0.02;

/**
 * The heaviest folders and files of a survey as a tree: a parent before what is in it, the heaviest first. Heavy
 * is what has a large part of the bytes or of the files.
 */
export function heaviestOf({ table, files, bytes }: Survey): Heavy {
  const weights = new Map<string, Weight>();
  const children = new Map<string, Set<string>>();
  const add = (name: string, folder: boolean, size: number) => {
    const weight = weights.get(name);
    if (weight) {
      weight.files++;
      weight.bytes += size;
      return;
    }
    weights.set(name, { folder, files: 1, bytes: size });
    const parent = parentOf(name);
    const siblings = children.get(parent);
    if (siblings) siblings.add(name);
    else children.set(parent, new Set([name]));
  };
  for (let i = 0; i < table.count; i++) {
    if (table.states[i] !== State.file && table.states[i] !== State.link) continue;
    const size = table.states[i] === State.file ? table.stat(i, Field.size) : 0;
    const name = table.name(i);
    // Single files are worth a line only when they are large.
    if (size > leastShare * bytes) add(name, false, size);
    for (let at = parentOf(name); at; at = parentOf(at)) add(at, true, size);
  }
  const share = ({ files: n, bytes: size }: Weight) => Math.max(size / (bytes || 1), n / (files || 1));
  const lines: Heavy = [];
  const visit = (parent: string) => {
    const heavy = [...(children.get(parent) ?? [])]
      .map((name) => ({ name, weight: weights.get(name)! }))
      .filter(({ weight }) => share(weight) > leastShare)
      .sort((a, b) => share(b.weight) - share(a.weight) || byBytes(a.name, b.name))
      .slice(0, mostChildren);
    for (const { name, weight } of heavy) {
      if (lines.length >= mostLines) return;
      lines.push({ path: textOf(name), ...weight });
      visit(name);
    }
  };
  visit('');
  return lines;
}
