import * as vscode from 'vscode';

/** The *Models* view: empty until models can be registered; its welcome text says so. */
export class ModelsView implements vscode.TreeDataProvider<never>, vscode.Disposable {
  private readonly view: vscode.TreeView<never>;

  constructor() {
    this.view = vscode.window.createTreeView('runyard.models', { treeDataProvider: this });
  }

  getChildren(): never[] {
    return [];
  }

  getTreeItem(node: never): vscode.TreeItem {
    return node;
  }

  dispose(): void {
    this.view.dispose();
  }
}
