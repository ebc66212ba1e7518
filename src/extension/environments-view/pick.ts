import * as vscode from 'vscode';
import type { Environment } from '../../api/environment.ts';
import type { Environments } from './environments.ts';
import { kindGlyph } from './kinds.ts';
import { isEnvironmentRef, labelOf, type EnvironmentRef } from './reference.ts';

/** Finds out which environment a command means. */
export class EnvironmentPicker {
  private readonly environments: Environments;
  private readonly selected: () => EnvironmentRef | undefined;

  constructor(environments: Environments, selected: () => EnvironmentRef | undefined) {
    this.environments = environments;
    this.selected = selected;
  }

  /** From a node of the tree or a reference; else it is asked, and what is selected in the tree comes first. */
  async resolve(
    args: readonly unknown[],
    placeHolder: string,
    fits: (environment: Environment) => boolean = () => true,
  ): Promise<EnvironmentRef | undefined> {
    if (isEnvironmentRef(args[0])) return args[0];
    const selected = this.selected()?.environment;
    const list = (await this.environments.refresh()).filter(fits);
    const { workspace } = this.environments;
    const items = list
      .map((value) => ({ ...environmentQuickItem(value), workspace, environment: labelOf(value) }))
      .sort((a, b) => Number(b.environment === selected) - Number(a.environment === selected));
    const create = { label: `$(add) ${vscode.l10n.t('Create Environment...')}`, alwaysShow: true };
    const picked = await vscode.window.showQuickPick<vscode.QuickPickItem & Partial<EnvironmentRef>>(
      items.length > 0 ? items : [create],
      { placeHolder, matchOnDescription: true, ignoreFocusOut: true },
    );
    if (picked === create) await vscode.commands.executeCommand('runyard.createEnvironment');
    return picked && isEnvironmentRef(picked) ? picked : undefined;
  }
}

/** An environment as a line of a quick pick. */
export function environmentQuickItem(environment: Environment): vscode.QuickPickItem {
  const { kind, summary, unpinned } = environment;
  const loose = unpinned.length > 0 ? vscode.l10n.t('{0} not pinned', unpinned.length) : '';
  return {
    label: `${kindGlyph(kind)} ${labelOf(environment)}`,
    description: [summary, loose].filter(Boolean).join(' · '),
  };
}
