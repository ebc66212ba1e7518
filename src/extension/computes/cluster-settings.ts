import * as vscode from 'vscode';
import type { ComputeSettings, SlurmOptions } from '../../api/compute.ts';
import type { TextRule } from './settings.ts';

/** What jobs ask Slurm for, one value each. */
export const jobWords = [
  'partition',
  'account',
  'qos',
  'time',
  'cpusPerTask',
  'memory',
  'gres',
  'constraint',
] as const;
export type JobWord = (typeof jobWords)[number];

/** The same, several lines each. */
export const jobLines = ['options', 'jobSetup'] as const;
export type JobLines = (typeof jobLines)[number];

export type JobSetting = JobWord | JobLines | 'mpiLauncher';

export function isJobWord(setting: string): setting is JobWord {
  return (jobWords as readonly string[]).includes(setting);
}

export function isJobLines(setting: string): setting is JobLines {
  return (jobLines as readonly string[]).includes(setting);
}

export function jobTitle(setting: JobSetting): string {
  switch (setting) {
    case 'partition':
      return vscode.l10n.t('Slurm: Partition');
    case 'account':
      return vscode.l10n.t('Slurm: Account');
    case 'qos':
      return vscode.l10n.t('Slurm: Quality of service');
    case 'time':
      return vscode.l10n.t('Slurm: Time limit');
    case 'cpusPerTask':
      return vscode.l10n.t('Slurm: CPUs for each process');
    case 'memory':
      return vscode.l10n.t('Slurm: Memory of each node');
    case 'gres':
      return vscode.l10n.t('Slurm: Generic resources');
    case 'constraint':
      return vscode.l10n.t('Slurm: Features of the nodes');
    case 'options':
      return vscode.l10n.t('Slurm: More lines of #SBATCH');
    case 'jobSetup':
      return vscode.l10n.t('Slurm: Set-up lines of jobs');
    case 'mpiLauncher':
      return vscode.l10n.t('Slurm: MPI processes are started by');
  }
}

export function jobValue({ slurm }: ComputeSettings, setting: JobSetting): string {
  switch (setting) {
    case 'partition':
      return slurm.partition ?? vscode.l10n.t("the cluster's default partition");
    case 'time':
      return slurm.time ?? vscode.l10n.t("the run's, else the cluster's default");
    case 'gres':
      return slurm.gres ?? vscode.l10n.t('the GPUs that a run asks for');
    case 'options':
    case 'jobSetup':
      return linesOfSetting(slurm, setting).join('; ') || vscode.l10n.t('none');
    case 'mpiLauncher':
      return launcherWord(slurm.mpiLauncher);
    default:
      return slurm[setting] === null ? vscode.l10n.t("the cluster's default") : String(slurm[setting]);
  }
}

export function linesOfSetting(slurm: SlurmOptions, setting: JobLines): string[] {
  return setting === 'options' ? slurm.options : slurm.setup;
}

export function launcherWord(launcher: SlurmOptions['mpiLauncher']): string {
  return launcher === 'auto' ? vscode.l10n.t('mpirun where there is one, else srun') : launcher;
}

export function schedulerWord(scheduler: ComputeSettings['scheduler']): string {
  return scheduler === 'slurm'
    ? vscode.l10n.t('Slurm: runs are jobs of the cluster')
    : vscode.l10n.t('runs start on the host itself');
}

/** How a word is asked for; empty is "as the cluster has it". */
export function jobRule(setting: JobWord): TextRule {
  const rule = (placeholder: string, prompt: string): TextRule => ({ placeholder, prompt, problem: odd });
  switch (setting) {
    case 'partition':
      return rule('gpu', vscode.l10n.t("The partition of jobs. Empty: the cluster's default."));
    case 'account':
      return rule('my-project', vscode.l10n.t("Who pays for jobs. Empty: the cluster's default."));
    case 'qos':
      return rule('normal', vscode.l10n.t("Quality of service of jobs. Empty: the cluster's default."));
    case 'time':
      return rule(
        '2:00:00',
        vscode.l10n.t(
          'As sbatch has it: 30 (minutes), 2:00:00, 1-12:00:00. Empty: what the run says, else the default.',
        ),
      );
    case 'cpusPerTask':
      return {
        placeholder: '4',
        prompt: vscode.l10n.t("CPUs for each process of a run. Empty: the cluster's default."),
        problem: (text) =>
          text === '' || /^[1-9]\d{0,4}$/.test(text)
            ? undefined
            : vscode.l10n.t('Enter a number from {0} to {1}.', 1, 99_999),
      };
    case 'memory':
      return rule('16G', vscode.l10n.t("Memory of each node. Empty: the cluster's default."));
    case 'gres':
      return rule('gpu:a100:2', vscode.l10n.t('As --gres has it. Empty: the GPUs that a run asks for.'));
    case 'constraint':
      return rule('a100', vscode.l10n.t('Features that the nodes must have. Empty: none.'));
  }
}

function odd(text: string): string | undefined {
  return /\p{Cc}/u.test(text) ? vscode.l10n.t('It holds a control character.') : undefined;
}

/** The line is checked as the settings are saved; what is wrong about it is said then. */
export function lineProblem(setting: JobLines, text: string): string | undefined {
  if (setting !== 'options' || text === '' || /^--?[A-Za-z]/.test(text)) return odd(text);
  return vscode.l10n.t('A line of #SBATCH begins with "-" or "--".');
}
