import * as vscode from 'vscode';
import type { Engine } from '../../api/environment.ts';
import { formatBytes } from '../format.ts';
import type { StepItem } from '../submit/multi-step.ts';

/** What nearly every script can begin with. */
export const suggestedImage = 'python:3.12-slim';

export interface ImageItem extends StepItem {
  image: string;
}

/** Whether it can name an image: all but a registry and a tag is in small letters. */
export function canBeImage(typed: string): boolean {
  if (!/^\w[\w./:@-]*$/.test(typed)) return false;
  const parts = typed
    .replace(/@.*$/, '')
    .replace(/:[^/]*$/, '')
    .split('/');
  return !/[A-Z]/.test((parts.length > 1 ? parts.slice(1) : parts).join('/'));
}

/**
 * Images to choose from: those of the engine, the suggestion where it is not among them, and last what was typed, as
 * one may have typed it to find another.
 */
export function imageItems(engine: Engine | undefined, typed: string): ImageItem[] {
  const known = (engine?.images ?? []).filter(({ name }) => !name.startsWith('runyard/'));
  const items: ImageItem[] = known.map(({ name, bytes }) => ({
    label: `$(vm) ${name}`,
    description: vscode.l10n.t('on the host, {0}', formatBytes(bytes)),
    image: name,
  }));
  const names = new Set(known.map(({ name }) => name));
  if (!names.has(suggestedImage)) {
    const description = vscode.l10n.t('is pulled when it is not there');
    items.push({ label: `$(cloud-download) ${suggestedImage}`, description, image: suggestedImage });
  }
  if (typed && typed !== suggestedImage && !names.has(typed) && canBeImage(typed)) {
    const description = vscode.l10n.t('is pulled when it is not there');
    // The word before it: an entry that begins with what was typed is listed before this one.
    items.push({
      label: `$(add) ${vscode.l10n.t('Image {0}', typed)}`,
      description,
      image: typed,
      alwaysShow: true,
    });
  }
  return items;
}
