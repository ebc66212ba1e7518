import * as vscode from 'vscode';
import type { SnapshotPreview } from '../../../api/entities.ts';
import { formatBytes } from '../../format.ts';

/** Space that a quick pick keeps, one lot for each folder above. */
const indent = '\u2003';

const ignoreButton: vscode.QuickInputButton = {
  iconPath: new vscode.ThemeIcon('exclude'),
  tooltip: vscode.l10n.t('Ignore'),
};

interface Item extends vscode.QuickPickItem {
  /** The folder or file of this row. */
  path?: string;
  answer?: boolean;
}

export interface HeaviestOptions {
  folderName: string;
  preview: SnapshotPreview;
  /** Leaves a path out from now on, and looks at the folder anew. */
  ignore(path: string): Promise<SnapshotPreview>;
}

/**
 * Shows what makes a folder large as a tree, with *Ignore* beside each row. Gives what the folder is when
 * the person goes on; undefined: nothing is to be submitted.
 */
export async function settleLarge(options: HeaviestOptions): Promise<SnapshotPreview | undefined> {
  let now = options.preview;
  const pick = vscode.window.createQuickPick<Item>();
  pick.ignoreFocusOut = true;
  pick.matchOnDescription = true;
  const draw = () => {
    pick.title = titleOf(options.folderName, now);
    pick.placeholder = now.large
      ? vscode.l10n.t('Every run sends this. The button beside a row writes it into {0}.', now.ignoreFile)
      : vscode.l10n.t('No longer large. Enter submits.');
    pick.items = itemsOf(now);
  };
  draw();
  const ignore = async (path: string) => {
    pick.busy = true;
    pick.enabled = false;
    try {
      now = await options.ignore(path);
      draw();
    } finally {
      pick.busy = false;
      pick.enabled = true;
    }
  };
  try {
    const goOn = await new Promise<boolean>((resolve, reject) => {
      pick.onDidAccept(() => {
        const [item] = pick.selectedItems;
        if (item?.answer !== undefined) resolve(item.answer);
      });
      pick.onDidTriggerItemButton(({ item }) => void (item.path && ignore(item.path).catch(reject)));
      pick.onDidHide(() => resolve(false));
      pick.show();
    });
    return goOn ? now : undefined;
  } finally {
    pick.dispose();
  }
}

function titleOf(folderName: string, { files, bytes, ignoreFile }: SnapshotPreview): string {
  return vscode.l10n.t(
    '{0}: {1} files, {2} (ignored paths go to {3})',
    folderName,
    files.toLocaleString(),
    formatBytes(bytes),
    ignoreFile,
  );
}

function itemsOf(preview: SnapshotPreview): Item[] {
  const go = preview.large ? vscode.l10n.t('Submit Anyway') : vscode.l10n.t('Submit');
  return [
    { label: `$(play) ${go}`, answer: true, alwaysShow: true },
    { label: `$(close) ${vscode.l10n.t('Cancel')}`, answer: false, alwaysShow: true },
    { label: vscode.l10n.t('the heaviest in it'), kind: vscode.QuickPickItemKind.Separator },
    ...treeOrder(preview.heaviest).map(heavyItem),
  ];
}

type Heavy = SnapshotPreview['heaviest'][number];

/** Each row with how deep it stands below the rows that are shown; in the order given, a parent first. */
function treeOrder(heaviest: readonly Heavy[]): { heavy: Heavy; depth: number }[] {
  const known = new Set(heaviest.map(({ path }) => path));
  const children = new Map<string, Heavy[]>();
  for (const heavy of heaviest) {
    let parent = parentOf(heavy.path);
    while (parent && !known.has(parent)) parent = parentOf(parent);
    children.set(parent, [...(children.get(parent) ?? []), heavy]);
  }
  const rows: { heavy: Heavy; depth: number }[] = [];
  const add = (parent: string, depth: number) => {
    for (const heavy of children.get(parent) ?? []) {
      if (!heavy.path) continue;
      rows.push({ heavy, depth });
      add(heavy.path, depth + 1);
    }
  };
  add('', 0);
  return rows;
}

function parentOf(path: string): string {
  return path.includes('/') ? path.slice(0, path.lastIndexOf('/')) : '';
}

function heavyItem({ heavy, depth }: { heavy: Heavy; depth: number }): Item {
  const name = depth === 0 ? heavy.path : heavy.path.slice(heavy.path.lastIndexOf('/') + 1);
  const size = formatBytes(heavy.bytes);
  return {
    label: `${indent.repeat(depth)}$(${heavy.folder ? 'folder' : 'file'}) ${name}`,
    description: heavy.folder ? vscode.l10n.t('{0}, {1} files', size, heavy.files.toLocaleString()) : size,
    buttons: [ignoreButton],
    path: heavy.path,
  };
}
