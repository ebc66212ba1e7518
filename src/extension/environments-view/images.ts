import * as vscode from 'vscode';
import type { Engine } from '../../api/environment.ts';
import { formatBytes } from '../format.ts';
import type { StepItem } from '../submit/multi-step.ts';

/** What nearly every script can begin with. */
export const suggestedImage = 'python:3.12-slim';

export interface ImageItem extends StepItem {
  image: string;
}

/** Images to choose from: what was typed, those of the engine, and the suggestion where it is not among them. */
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
  if (typed && typed !== suggestedImage && !names.has(typed) && /^\w[\w./:@-]*$/.test(typed)) {
    const description = vscode.l10n.t('this image; it is pulled when it is not there');
    items.unshift({ label: `$(add) ${typed}`, description, image: typed, alwaysShow: true });
  }
  return items;
}
