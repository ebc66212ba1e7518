import * as vscode from 'vscode';
import type { FoundConfiguration } from '../../api/entities.ts';
import { localCompute } from '../../api/compute.ts';
import type { RunConfiguration } from '../../api/run-configuration.ts';
import { joinArguments } from './arguments.ts';
import { environmentPhrase } from './environment-answer.ts';
import { back, pickStep, type StepItem } from './multi-step.ts';
import type { SubmitSession } from './session.ts';

interface ConfigurationItem extends StepItem {
  found?: FoundConfiguration;
}

export const newConfiguration = Symbol('new configuration');

/** Offers the folder's run configurations; gives one, `newConfiguration`, or undefined when dismissed. */
export async function pickConfiguration(
  session: SubmitSession,
): Promise<FoundConfiguration | typeof newConfiguration | undefined> {
  const edit = { iconPath: new vscode.ThemeIcon('edit'), tooltip: vscode.l10n.t('Edit Run Configuration') };
  const usable = sorted(session).filter((found) => !found.problem);
  const broken = session.configurations.filter((found) => found.problem);
  const items = (): ConfigurationItem[] => [
    ...usable.map((found) => ({ ...usableItem(found, session), buttons: [edit] })),
    { label: `$(add) ${vscode.l10n.t('New Run Configuration...')}`, alwaysShow: true },
    ...separated(vscode.l10n.t('cannot be used'), broken.map(brokenItem)),
    ...separated(vscode.l10n.t('runs with'), session.runsWith(localCompute)),
  ];
  const picked = await pickStep<ConfigurationItem>({
    title: session.title,
    step: 1,
    totalSteps: 1,
    placeholder: vscode.l10n.t('A run configuration of this folder'),
    items,
    active: (item) => item.found !== undefined,
    onItemButton: (item) => item.found && void editConfiguration(session.folder, item.found.path),
  });
  if (!picked || picked === back) return undefined;
  if (!picked.found) return newConfiguration;
  if (!picked.found.problem) return picked.found;
  await editConfiguration(session.folder, picked.found.path);
  return undefined;
}

/** Opens the file of a run configuration. */
export async function editConfiguration(folder: string, relativePath: string): Promise<void> {
  const uri = vscode.Uri.joinPath(vscode.Uri.file(folder), relativePath);
  await vscode.window.showTextDocument(uri);
}

/** `train.py --epochs 20`, or the command. */
export function commandLine(configuration: RunConfiguration): string {
  const { command, script } = configuration;
  if (command) return typeof command === 'string' ? command : joinArguments(command);
  return [script ?? '', joinArguments(configuration.arguments ?? [])].filter(Boolean).join(' ');
}

/** The one submitted last first, then those of the script that was clicked, then by name. */
function sorted(session: SubmitSession): FoundConfiguration[] {
  const rank = (found: FoundConfiguration) => {
    const ofScript = session.target.script && found.configuration?.script === session.target.script;
    if (ofScript) return 0;
    return found.name === session.last.configuration ? 1 : 2;
  };
  return [...session.configurations].sort((a, b) => rank(a) - rank(b) || a.name.localeCompare(b.name));
}

function usableItem(found: FoundConfiguration, session: SubmitSession): ConfigurationItem {
  const configuration = found.configuration;
  const own = configuration?.environment?.python?.interpreterPath;
  const facts = [
    configuration?.experiment ?? session.defaultExperiment,
    configuration?.target ?? 'local',
    configuration ? environmentPhrase(configuration) : '',
    own ? vscode.l10n.t('interpreter {0}', own) : '',
  ].filter(Boolean);
  const warnings = found.warnings.map((warning) => `$(warning) ${warning}`);
  return {
    label: `$(play) ${found.name}`,
    description: configuration ? commandLine(configuration) : '',
    detail: [facts.join(' · '), ...warnings].join('   '),
    found,
  };
}

function brokenItem(found: FoundConfiguration): ConfigurationItem {
  return {
    label: `$(error) ${found.name}`,
    description: vscode.l10n.t('Edit Run Configuration'),
    detail: found.problem ?? '',
    found,
  };
}

function separated(label: string, items: ConfigurationItem[]): ConfigurationItem[] {
  if (items.length === 0) return [];
  return [{ label, kind: vscode.QuickPickItemKind.Separator }, ...items];
}
