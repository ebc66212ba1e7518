import type { SnapshotChange } from '../../api/entities.ts';

/** A folder that has changes in it. Folders with nothing but one folder are one row with it. */
export interface FolderNode {
  kind: 'folder';
  /** As it is shown: `src/model`. */
  label: string;
  path: string;
  children: ChangeNode[];
}

export type ChangeNode = FolderNode | { kind: 'change'; label: string; change: SnapshotChange };

interface Folder {
  folders: Map<string, Folder>;
  changes: SnapshotChange[];
}

/** Changes as a tree: folders first, then files, by name. */
export function treeOf(changes: readonly SnapshotChange[]): ChangeNode[] {
  const root: Folder = { folders: new Map(), changes: [] };
  for (const change of changes) {
    let folder = root;
    for (const name of change.path.split('/').slice(0, -1)) {
      let next = folder.folders.get(name);
      if (!next) folder.folders.set(name, (next = { folders: new Map(), changes: [] }));
      folder = next;
    }
    folder.changes.push(change);
  }
  return nodesOf(root, '');
}

function nodesOf(folder: Folder, prefix: string): ChangeNode[] {
  const folders = [...folder.folders].map(([name, inner]) => folderNode(name, `${prefix}${name}`, inner));
  const files = folder.changes.map((change) => ({
    kind: 'change' as const,
    label: change.path.slice(prefix.length),
    change,
  }));
  return [...folders.sort(byLabel), ...files.sort(byLabel)];
}

function folderNode(label: string, path: string, folder: Folder): FolderNode {
  const [only, ...others] = folder.folders;
  if (only && others.length === 0 && folder.changes.length === 0) {
    return folderNode(`${label}/${only[0]}`, `${path}/${only[0]}`, only[1]);
  }
  return { kind: 'folder', label, path, children: nodesOf(folder, `${path}/`) };
}

function byLabel(a: ChangeNode, b: ChangeNode): number {
  return a.label.localeCompare(b.label, undefined, { numeric: true });
}
