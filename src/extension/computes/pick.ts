import * as vscode from 'vscode';
import type { Compute } from '../../api/compute.ts';
import type { Computes } from './computes.ts';
import type { LineNode, TargetNode } from './nodes.ts';
import { describeCompute, stateIcon } from './state.ts';

/** Finds out which target a command means. */
export class ComputePicker {
  private readonly computes: Computes;
  private readonly selected: () => string | undefined;

  constructor(computes: Computes, selected: () => string | undefined) {
    this.computes = computes;
    this.selected = selected;
  }

  /** From a node of the tree or a name; else it is asked, and what is selected in the tree comes first. `added` are
   * all but this machine as it is, `ssh` those that a terminal can be opened on. */
  async resolve(
    args: readonly unknown[],
    placeHolder: string,
    which: 'all' | 'added' | 'ssh' = 'added',
  ): Promise<string | undefined> {
    const named = nameOf(args[0]);
    if (named !== undefined) return named;
    const selected = this.selected();
    const list = (await this.computes.refresh())
      .filter(
        ({ kind, settings }) => which === 'all' || (which === 'ssh' ? kind === 'ssh' : settings !== null),
      )
      .sort((a, b) => Number(b.name === selected) - Number(a.name === selected));
    const add = { label: `$(add) ${vscode.l10n.t('Add Compute...')}`, name: undefined };
    const items = list.map((compute) => ({ ...computeItem(compute), name: compute.name }));
    const picked = await vscode.window.showQuickPick([...items, ...(items.length === 0 ? [add] : [])], {
      placeHolder,
      matchOnDescription: true,
      // The palette gives the focus back while this comes up.
      ignoreFocusOut: true,
    });
    if (picked === add) await vscode.commands.executeCommand('runyard.addCompute');
    return picked?.name;
  }
}

/** A target as a line of a quick pick: its state and its load. */
export function computeItem(compute: Compute): vscode.QuickPickItem {
  const { name, kind, address } = compute;
  const where = kind === 'local' || address === name ? '' : address;
  return {
    label: `$(${stateIcon(compute).id}) ${name}`,
    description: [where, describeCompute(compute)].filter(Boolean).join(' · '),
  };
}

function nameOf(argument: unknown): string | undefined {
  if (typeof argument === 'string') return argument;
  const node = argument as TargetNode | LineNode | undefined;
  if (node?.kind === 'target') return node.compute.name;
  return node?.kind === 'line' ? node.parent.compute.name : undefined;
}
