import './run.css';
import { html, render, type TemplateResult } from 'lit';
import { registerToolkit } from '../toolkit.ts';
import { setStrings, t } from '../shared/l10n.ts';
import { listen, savedState, saveState, send } from './bridge.ts';
import type { Snapshot } from './contract.ts';
import './chart/metric-card.ts';
import './chart/system-charts.ts';
import './log/log-view.ts';
import { duration, isLive, onChange, receive, run, state, update, type Tab } from './state.ts';
import { configurationTab } from './view/configuration-tab.ts';
import { environmentTab } from './view/environment-tab.ts';
import { filesTab } from './view/files-tab.ts';
import { header } from './view/header.ts';
import { logTab } from './view/log-tab.ts';
import { notices } from './view/notices.ts';
import { overview } from './view/overview.ts';
import { tablesTab } from './view/tables-tab.ts';
import { tabs, type TabItem } from './view/tabs.ts';

/** The duration of a live run is drawn again this often. */
const tickMs = 1000;

function page(): TemplateResult {
  const { snapshot } = state;
  if (!snapshot) {
    return html`<div class="waiting" role="status">
      ${state.problem ?? html`<vscode-progress-ring aria-label=${t('Loading...')}></vscode-progress-ring>`}
    </div>`;
  }
  return html`<div class="page ${state.tab === 'log' ? 'fits' : ''}">
    ${header(snapshot.run)} ${notices(snapshot.run)} ${tabs(tabItems(snapshot), tabBody(snapshot))}
  </div>`;
}

function tabItems({ documents, images, artifacts }: Snapshot): TabItem[] {
  const tables = documents.length + images.length;
  return [
    { id: 'overview', label: t('Overview') },
    { id: 'log', label: t('Log') },
    ...(tables > 0 || state.tab === 'tables'
      ? [{ id: 'tables' as const, label: t('Tables & Images'), count: tables }]
      : []),
    { id: 'files', label: t('Files'), count: artifacts.length },
    { id: 'environment', label: t('Environment') },
    { id: 'system', label: t('System') },
    { id: 'configuration', label: t('Configuration') },
  ];
}

function tabBody({ run: one, documents, images, artifacts }: Snapshot): TemplateResult {
  switch (state.tab) {
    case 'overview':
      return overview(one);
    case 'log':
      return logTab(artifacts);
    case 'environment':
      return environmentTab(one, artifacts);
    case 'tables':
      return tablesTab(documents, images);
    case 'files':
      return filesTab(artifacts, isLive(one));
    case 'system':
      return html`<ry-system .live=${isLive(one)}></ry-system>`;
    case 'configuration':
      return configurationTab(one);
  }
}

function tick(): void {
  const one = run();
  if (one && isLive(one) && duration(one) !== undefined) update({});
}

registerToolkit();
const root = document.getElementById('page')!;
onChange(() => render(page(), root));
listen((message) => {
  if (message.type !== 'init') return receive(message);
  setStrings(message.strings);
  const saved = savedState();
  const mine = saved?.runId === message.state.runId ? saved : message.state;
  saveState(mine);
  update({
    page: mine,
    tab: (mine.tab as Tab | undefined) ?? 'overview',
    search: mine.search ?? '',
    clockOffset: message.now - Date.now(),
  });
});
setInterval(tick, tickMs);
update({});
send({ type: 'ready' });
