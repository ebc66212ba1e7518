import * as vscode from 'vscode';
import {
  isOverSsh,
  schedulers,
  transports,
  type ComputeSettings,
  type UpdateComputeRequest,
} from '../../api/compute.ts';
import {
  isJobLines,
  isJobWord,
  jobLines,
  jobRule,
  jobTitle,
  jobValue,
  jobWords,
  launcherWord,
  schedulerWord,
  type JobLines,
} from './cluster-settings.ts';
import { transportWord } from './tooltip.ts';

/** What a person may change of a target; set-up lines have a document of their own. */
export const editableSettings = [
  'host',
  'user',
  'port',
  'configFile',
  'transport',
  'root',
  'setup',
  'interpreter',
  'scheduler',
  ...jobWords,
  ...jobLines,
  'mpiLauncher',
  'slots',
  'detach',
  'keepDays',
  'keepBytes',
] as const;
export type EditableSetting = (typeof editableSettings)[number];

/** The settings that are a text to type. */
export type TextSetting = Exclude<EditableSetting, ChosenSetting | JobLines | 'setup'>;

/** Those that are chosen. */
const chosenSettings = ['transport', 'detach', 'scheduler', 'mpiLauncher'] as const;
export type ChosenSetting = (typeof chosenSettings)[number];

export function isChosenSetting(setting: EditableSetting): setting is ChosenSetting {
  return (chosenSettings as readonly string[]).includes(setting);
}

/** The settings that mean something for a target as it is. */
export function settingsThatCount(settings: ComputeSettings): EditableSetting[] {
  const isCluster = settings.scheduler === 'slurm';
  return editableSettings.filter((setting) => {
    if (isJobWord(setting) || isJobLines(setting) || setting === 'mpiLauncher') return isCluster;
    if (setting === 'slots' || setting === 'detach') return !isCluster;
    if (['user', 'port', 'configFile', 'transport'].includes(setting)) return isOverSsh(settings);
    return true;
  });
}

export interface TextRule {
  placeholder: string;
  prompt: string;
  /** Why a text cannot be taken. */
  problem(text: string): string | undefined;
}

const gigabyte = 1_000_000_000;

/** What a setting is called. */
export function settingTitle(setting: EditableSetting): string {
  if (isJobWord(setting) || isJobLines(setting) || setting === 'mpiLauncher') return jobTitle(setting);
  switch (setting) {
    case 'host':
      return vscode.l10n.t('Host');
    case 'user':
      return vscode.l10n.t('User');
    case 'port':
      return vscode.l10n.t('Port');
    case 'configFile':
      return vscode.l10n.t('SSH configuration file');
    case 'transport':
      return vscode.l10n.t('Transport');
    case 'root':
      return vscode.l10n.t('Folder on the host');
    case 'setup':
      return vscode.l10n.t('Set-up lines');
    case 'interpreter':
      return vscode.l10n.t('Interpreter');
    case 'scheduler':
      return vscode.l10n.t('Scheduler');
    case 'slots':
      return vscode.l10n.t('Runs at a time');
    case 'detach':
      return vscode.l10n.t('Runs are started by');
    case 'keepDays':
      return vscode.l10n.t('Keep run folders for');
    case 'keepBytes':
      return vscode.l10n.t('Keep at most');
  }
}

/** What a setting is now, for people. */
export function settingValue(settings: ComputeSettings, setting: EditableSetting): string {
  const { keep } = settings;
  const byConfiguration = vscode.l10n.t('as the ssh configuration says');
  if (isJobWord(setting) || isJobLines(setting) || setting === 'mpiLauncher')
    return jobValue(settings, setting);
  switch (setting) {
    case 'host':
      return settings.host ?? vscode.l10n.t('this machine');
    case 'root':
      return settings.root;
    case 'user':
    case 'port':
      return settings[setting] === null ? byConfiguration : String(settings[setting]);
    case 'configFile':
      return settings.configFile ?? '~/.ssh/config';
    case 'transport':
      return transportWord(settings.transport);
    case 'setup':
      return settings.setup.length > 0 ? settings.setup.join('; ') : vscode.l10n.t('none');
    case 'interpreter':
      return settings.interpreter ?? vscode.l10n.t('python3 of the host, after the set-up lines');
    case 'scheduler':
      return schedulerWord(settings.scheduler);
    case 'slots':
      return settings.slots === null
        ? vscode.l10n.t('one for each GPU, else half of the CPUs')
        : String(settings.slots);
    case 'detach':
      return detachWord(settings.detach);
    case 'keepDays':
      return keep.days === 1 ? vscode.l10n.t('1 day') : vscode.l10n.t('{0} days', keep.days);
    case 'keepBytes':
      return vscode.l10n.t('{0} GB of run folders and cached files', keep.bytes / gigabyte);
  }
}

export function detachWord(detach: ComputeSettings['detach']): string {
  return detach === 'process'
    ? vscode.l10n.t('a process of their own')
    : vscode.l10n.t('systemd-run --user, where the host ends what a session leaves');
}

/** The text with which the input opens. */
export function settingText(settings: ComputeSettings, setting: TextSetting): string {
  if (setting === 'keepDays') return String(settings.keep.days);
  if (setting === 'keepBytes') return String(settings.keep.bytes / gigabyte);
  if (isJobWord(setting)) return String(settings.slurm[setting] ?? '');
  return String(settings[setting] ?? '');
}

/** How a text setting is asked for. Empty is "back to the default" where there is one. */
export function textRule(setting: TextSetting): TextRule {
  if (isJobWord(setting)) return jobRule(setting);
  switch (setting) {
    case 'host':
      return {
        placeholder: 'gpu.example.org',
        prompt: vscode.l10n.t('An alias of the ssh configuration, a host name or an address'),
        problem: (text) => (text && !/[\s@]/.test(text) ? undefined : vscode.l10n.t('Enter a host name.')),
      };
    case 'user':
      return {
        placeholder: 'mia',
        prompt: vscode.l10n.t('Who signs in. Empty: as the ssh configuration says.'),
        problem: () => undefined,
      };
    case 'port':
      return {
        placeholder: '22',
        prompt: vscode.l10n.t('Port of the ssh server. Empty: as the ssh configuration says.'),
        problem: (text) => wholeNumber(text, 1, 65_535, true),
      };
    case 'configFile':
      return {
        placeholder: '~/.ssh/config',
        prompt: vscode.l10n.t('Another ssh configuration file. Empty: ~/.ssh/config.'),
        problem: () => undefined,
      };
    case 'root':
      return {
        placeholder: '~/.runyard/host',
        prompt: vscode.l10n.t("Runyard's folder on the host; ~ is the home folder there"),
        problem: (text) => (text ? undefined : vscode.l10n.t('Enter a folder.')),
      };
    case 'interpreter':
      return {
        placeholder: '/opt/conda/envs/ml/bin/python',
        prompt: vscode.l10n.t(
          'Python of the runs on the host. Empty: python3 of the PATH after the set-up lines.',
        ),
        problem: () => undefined,
      };
    case 'slots':
      return {
        placeholder: '2',
        prompt: vscode.l10n.t('Runs at a time. Empty: one for each GPU, else half of the CPUs.'),
        problem: (text) => wholeNumber(text, 1, 1024, true),
      };
    case 'keepDays':
      return {
        placeholder: '14',
        prompt: vscode.l10n.t(
          'Days after which the folder of a collected run goes from the host; what exists only there stays',
        ),
        problem: (text) => wholeNumber(text, 0, 36_500, false),
      };
    case 'keepBytes':
      return {
        placeholder: '50',
        prompt: vscode.l10n.t('Gigabytes on the host above which the oldest run folders go earlier'),
        problem: (text) =>
          /^\d+(\.\d+)?$/.test(text) ? undefined : vscode.l10n.t('Enter a number of gigabytes.'),
      };
  }
}

/** The change that a text makes. */
export function textChange(
  settings: ComputeSettings,
  setting: TextSetting,
  typed: string,
): UpdateComputeRequest {
  const text = typed.trim();
  if (setting === 'cpusPerTask')
    return { slurm: { ...settings.slurm, cpusPerTask: text ? Number(text) : null } };
  if (isJobWord(setting)) return { slurm: { ...settings.slurm, [setting]: text || null } };
  switch (setting) {
    case 'host':
    case 'root':
      return { [setting]: text };
    case 'user':
    case 'configFile':
    case 'interpreter':
      return { [setting]: text || null };
    case 'port':
    case 'slots':
      return { [setting]: text ? Number(text) : null };
    case 'keepDays':
      return { keep: { ...settings.keep, days: Number(text) } };
    case 'keepBytes':
      return { keep: { ...settings.keep, bytes: Math.round(Number(text) * gigabyte) } };
  }
}

/** The values of a setting that are chosen, not typed. */
export function choicesOf(setting: ChosenSetting): { label: string; value: string; detail: string }[] {
  const items = <T extends string>(values: readonly T[], word: (value: T) => string) =>
    values.map((value) => ({ label: value, value, detail: word(value) }));
  switch (setting) {
    case 'transport':
      return items(transports, transportWord);
    case 'detach':
      return items(['process', 'systemd'] as const, detachWord);
    case 'scheduler':
      return items(schedulers, schedulerWord);
    case 'mpiLauncher':
      return items(['auto', 'mpirun', 'srun'] as const, launcherWord);
  }
}

/** What a setting that is chosen is now. */
export function choiceOf(settings: ComputeSettings, setting: ChosenSetting): string {
  return setting === 'mpiLauncher' ? settings.slurm.mpiLauncher : settings[setting];
}

export function choiceChange(
  settings: ComputeSettings,
  setting: ChosenSetting,
  value: string,
): UpdateComputeRequest {
  return setting === 'mpiLauncher'
    ? { slurm: { ...settings.slurm, mpiLauncher: value as 'auto' } }
    : { [setting]: value };
}

export function linesChange(
  settings: ComputeSettings,
  setting: JobLines,
  lines: string[],
): UpdateComputeRequest {
  return { slurm: { ...settings.slurm, [setting === 'options' ? 'options' : 'setup']: lines } };
}

function wholeNumber(text: string, least: number, most: number, mayBeEmpty: boolean): string | undefined {
  if (mayBeEmpty && text === '') return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= least && value <= most) return undefined;
  return vscode.l10n.t('Enter a number from {0} to {1}.', least, most);
}
