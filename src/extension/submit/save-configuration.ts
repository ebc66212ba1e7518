import * as vscode from 'vscode';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import { inputStep } from './multi-step.ts';
import { commandLine } from './pick-configuration.ts';
import type { SubmitSession } from './session.ts';

/**
 * Writes the answers as `.runyard/<name>.runconfig` for the next time; the name is the script's. One that
 * is there already is overwritten only when the person says so. Gives the name written, undefined when it
 * was not to be written, false when the person dismissed the question.
 */
export async function saveConfiguration(
  session: SubmitSession,
  configuration: RunConfiguration,
): Promise<string | undefined | false> {
  let name = defaultName(session, configuration);
  const existing = session.configurations.find((found) => found.name === name);
  if (existing && same(existing.configuration, configuration)) return name;
  if (existing) {
    const decided = await decide(session, name);
    if (decided === undefined || decided === false) return decided;
    name = decided;
  }
  await session.client.call('writeConfiguration', {
    body: { folder: session.folder, name, configuration },
  });
  return name;
}

function defaultName(session: SubmitSession, configuration: RunConfiguration): string {
  const stem = configuration.script
    ?.split(/[\\/]/)
    .at(-1)
    ?.replace(/\.[^.]*$/, '');
  const name = (stem || session.folderName).replace(/[^\w .-]+/g, '-').replace(/^[^\w]+/, '');
  return (name || 'run').slice(0, 64);
}

/** What the questions are about. */
const askedFor = new Set(['script', 'arguments', 'command', 'target', 'experiment', 'environment', 'docker']);

function same(a: RunConfiguration | null, b: RunConfiguration): boolean {
  if (!a) return false;
  const rest = Object.entries(a).filter(([, value]) => value !== null && value !== undefined);
  return (
    rest.every(([key]) => askedFor.has(key)) &&
    commandLine(a) === commandLine(b) &&
    (a.target ?? 'local') === b.target &&
    a.experiment === b.experiment &&
    JSON.stringify([a.environment ?? null, a.docker ?? null]) ===
      JSON.stringify([b.environment ?? null, b.docker ?? null])
  );
}

async function decide(session: SubmitSession, name: string): Promise<string | undefined | false> {
  const overwrite = { label: `$(replace) ${vscode.l10n.t('Overwrite "{0}"', name)}` };
  const rename = { label: `$(save-as) ${vscode.l10n.t('Save under Another Name...')}` };
  const skip = { label: `$(circle-slash) ${vscode.l10n.t('Submit Without Saving the Configuration')}` };
  const picked = await vscode.window.showQuickPick([overwrite, rename, skip], {
    title: session.title,
    placeHolder: vscode.l10n.t('The folder has a run configuration "{0}" already', name),
    ignoreFocusOut: true,
  });
  if (!picked) return false;
  if (picked === skip) return undefined;
  if (picked === overwrite) return name;
  const taken = new Set(session.configurations.map((found) => found.name));
  let n = 2;
  while (taken.has(`${name}-${n}`)) n += 1;
  const text = await inputStep({
    title: session.title,
    step: 1,
    totalSteps: 1,
    value: `${name}-${n}`,
    prompt: vscode.l10n.t('Name of the run configuration'),
    validate: (value) => {
      if (!/^\w[\w .-]{0,63}$/.test(value.trim())) {
        return vscode.l10n.t('Use letters, digits, spaces, ".", "_" and "-".');
      }
      return taken.has(value.trim()) ? vscode.l10n.t('This name is taken.') : undefined;
    },
  });
  return typeof text === 'string' ? text.trim() : false;
}
