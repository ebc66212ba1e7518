import { existsSync, readFileSync, statSync } from 'node:fs';
import path from 'node:path';
import * as vscode from 'vscode';
import { resolveHome } from '../../api/home.ts';
import type { Live } from '../live.ts';
import type { Log } from '../log.ts';
import { homeSetting } from '../settings.ts';
import { lostHome, mountLine, type LostHome } from './decide.ts';

const memoryKey = 'runyard.lostHomeTold';
/** What a codespace keeps when it is built again. */
const keptByCodespaces = '/workspaces/.runyard';

/** Says once, when Runyard is first used there, that the runs would be lost when the container is built again. */
export function tellOfLostHome(memory: vscode.Memento, live: Live, log: Log): vscode.Disposable {
  const listener = live.onState(({ state }) => {
    if (state !== 'connected') return;
    listener.dispose();
    try {
      const home = resolveHome(homeSetting() || undefined).dir;
      if (memory.get<string>(memoryKey) === home) return;
      const lost = look(home);
      if (lost) void tell(lost, home, memory);
    } catch (error) {
      log.error('Whether the home outlives the container is not known', error);
    }
  });
  return listener;
}

function look(home: string): LostHome | undefined {
  if (process.platform !== 'linux') return undefined;
  let existing = home;
  while (!existsSync(existing)) existing = path.dirname(existing);
  return lostHome({
    env: process.env,
    remoteName: vscode.env.remoteName,
    dockerenv: existsSync('/.dockerenv'),
    home,
    existing,
    homeDevice: statSync(existing).dev,
    rootDevice: statSync('/').dev,
    mountinfo: readFileSync('/proc/self/mountinfo', 'utf8'),
  });
}

async function tell(lost: LostHome, home: string, memory: vscode.Memento): Promise<void> {
  await memory.update(memoryKey, home);
  if (lost === 'codespaces') {
    const use = vscode.l10n.t('Use {0}', keptByCodespaces);
    const text = vscode.l10n.t(
      'Runs are kept in {0}, which is lost when this codespace is rebuilt. A home below /workspaces stays.',
      home,
    );
    if ((await vscode.window.showWarningMessage(text, use)) !== use) return;
    const settings = vscode.workspace.getConfiguration('runyard');
    await settings.update('home', keptByCodespaces, vscode.ConfigurationTarget.Global);
    const kept = vscode.l10n.t(
      'From now on runs are kept in {0}. Those so far are in {1}.',
      keptByCodespaces,
      home,
    );
    void vscode.window.showInformationMessage(kept);
    return;
  }
  const copy = vscode.l10n.t('Copy Mount for devcontainer.json');
  const text = vscode.l10n.t(
    'Runs are kept in {0}, which is lost when this dev container is rebuilt. With a volume mounted there they stay.',
    home,
  );
  if ((await vscode.window.showWarningMessage(text, copy)) !== copy) return;
  await vscode.env.clipboard.writeText(mountLine(home));
  vscode.window.setStatusBarMessage(vscode.l10n.t('Mount copied'), 3000);
}
