import * as vscode from 'vscode';
import type { Compute, UpdateComputeRequest } from '../../api/compute.ts';
import type { Connection } from '../connection.ts';
import { describe } from '../errors.ts';
import { back, inputStep, pickStep, type StepItem } from '../submit/multi-step.ts';
import type { Computes } from './computes.ts';
import { askLines } from './ask-lines.ts';
import { isJobLines, lineProblem, linesOfSetting, type JobLines } from './cluster-settings.ts';
import { pickPartition } from './partition-pick.ts';
import { showSetup } from './setup-document.ts';
import {
  choiceChange,
  choiceOf,
  choicesOf,
  isChosenSetting,
  linesChange,
  settingsThatCount,
  settingText,
  settingTitle,
  settingValue,
  textChange,
  textRule,
  type EditableSetting,
} from './settings.ts';

interface SettingItem extends StepItem {
  setting?: EditableSetting;
}

/** Shows the settings of a target, and changes those that are chosen until the person has enough. */
export class ComputeEditor {
  private readonly connection: Connection;
  private readonly computes: Computes;

  constructor(connection: Connection, computes: Computes) {
    this.connection = connection;
    this.computes = computes;
  }

  /** All settings, or one of them. */
  async edit(name: string, only?: EditableSetting): Promise<void> {
    if (only) {
      await this.change(name, only, false);
      return;
    }
    let latest: EditableSetting | undefined;
    for (;;) {
      const picked = await this.pick(await this.look(name), latest);
      if (!picked || picked === back || !picked.setting) return;
      latest = picked.setting;
      if (latest === 'setup') return showSetup(name);
      if ((await this.change(name, latest, true)) === 'end') return;
    }
  }

  private async look(name: string): Promise<Compute> {
    const client = await this.connection.client();
    return client.call('getCompute', { params: { compute: name } });
  }

  private pick(compute: Compute, latest: EditableSetting | undefined) {
    const { settings } = compute;
    return pickStep<SettingItem>({
      title: vscode.l10n.t('Settings of {0}', compute.name),
      step: 1,
      totalSteps: 1,
      placeholder: vscode.l10n.t('The setting to change. Escape ends.'),
      active: (item) => item.setting === latest,
      items: () =>
        settings
          ? settingsThatCount(settings).map((setting) => ({
              label: settingTitle(setting),
              description: settingValue(settings, setting),
              setting,
            }))
          : [],
    });
  }

  /** `end`: the person has dismissed the question. */
  private async change(name: string, setting: EditableSetting, canGoBack: boolean): Promise<'end' | 'done'> {
    let typed: string | undefined;
    for (let problem: string | undefined; ;) {
      const { settings, cluster } = await this.look(name);
      if (!settings) return 'end';
      const frame = {
        title: `${name}: ${settingTitle(setting)}`,
        step: 1,
        totalSteps: 1,
        canGoBack,
        ...(problem === undefined ? {} : { problem }),
      };
      let change: UpdateComputeRequest;
      if (setting === 'setup') {
        await showSetup(name);
        return 'end';
      } else if (isChosenSetting(setting)) {
        const items = choicesOf(setting);
        const active = (item: { value: string }) => item.value === choiceOf(settings, setting);
        const picked = await pickStep({ ...frame, items: () => items, active });
        if (picked === back) return 'done';
        if (!picked) return 'end';
        change = choiceChange(settings, setting, picked.value);
      } else if (isJobLines(setting)) {
        const lines = await askJobLines(name, setting, linesOfSetting(settings.slurm, setting));
        if (!lines) return 'end';
        change = linesChange(settings, setting, lines);
      } else if (setting === 'partition' && cluster && cluster.partitions.length > 0) {
        const picked = await pickPartition(frame, cluster, settings);
        if (picked === back) return 'done';
        if (!picked) return 'end';
        change = textChange(settings, setting, picked.partition ?? '');
      } else {
        const rule = textRule(setting);
        const text = await inputStep({
          ...frame,
          value: typed ?? settingText(settings, setting),
          placeholder: rule.placeholder,
          prompt: rule.prompt,
          validate: (value) => rule.problem(value.trim()),
        });
        if (text === back) return 'done';
        if (text === undefined) return 'end';
        typed = text;
        change = textChange(settings, setting, text);
      }
      try {
        await this.save(name, change);
        return 'done';
      } catch (error) {
        // What was typed is not lost: it is asked again, with the reason.
        problem = describe(error);
        if (typed === undefined) throw error;
      }
    }
  }

  private async save(name: string, body: UpdateComputeRequest): Promise<void> {
    const client = await this.connection.client();
    this.computes.take(await client.call('updateCompute', { params: { compute: name }, body }));
    vscode.window.setStatusBarMessage(vscode.l10n.t('The settings of {0} are saved.', name), 3000);
  }
}

function askJobLines(name: string, setting: JobLines, before: string[]): Promise<string[] | undefined> {
  const isSbatch = setting === 'options';
  return askLines({
    title: (n) =>
      isSbatch
        ? vscode.l10n.t('#SBATCH line {0} of jobs on {1}', n, name)
        : vscode.l10n.t('Set-up line {0} of jobs on {1}', n, name),
    prompt: isSbatch
      ? vscode.l10n.t("A line of the job's head, without #SBATCH. Empty: no more lines.")
      : vscode.l10n.t("A shell line that is run in the job before the run's command. Empty: no more lines."),
    placeholders: isSbatch ? ['--exclusive', '--mail-type=END'] : ['module load cuda', 'ulimit -n 4096'],
    before,
    problem: (line) => lineProblem(setting, line),
  });
}
