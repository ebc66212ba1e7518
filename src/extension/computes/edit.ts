import * as vscode from 'vscode';
import type { Compute, UpdateComputeRequest } from '../../api/compute.ts';
import type { Connection } from '../connection.ts';
import { describe } from '../errors.ts';
import { back, inputStep, pickStep, type StepItem } from '../submit/multi-step.ts';
import type { Computes } from './computes.ts';
import { showSetup } from './setup-document.ts';
import {
  choicesOf,
  editableSettings,
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
          ? editableSettings.map((setting) => ({
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
      const { settings } = await this.look(name);
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
      } else if (setting === 'transport' || setting === 'detach') {
        const items = choicesOf(setting);
        const active = (item: { value: string }) => item.value === settings[setting];
        const picked = await pickStep({ ...frame, items: () => items, active });
        if (picked === back) return 'done';
        if (!picked) return 'end';
        change = { [setting]: picked.value };
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
