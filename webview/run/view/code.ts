import { html, nothing, type TemplateResult } from 'lit';
import type { GitFacts, RunDetail } from '../../../src/api/entities.ts';
import { formatBytes } from '../../shared/format.ts';
import { icon, type IconName } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { send } from '../bridge.ts';
import type { Action } from '../contract.ts';
import { pairs } from './parts.ts';

/** Exactly what ran: the snapshot, where it stands in git, and the ways back to it. */
export function code(run: RunDetail): TemplateResult | typeof nothing {
  const { snapshot, git } = run;
  const entries: [string, unknown][] = [
    ...(snapshot ? [[t('Snapshot'), size(snapshot)] as [string, unknown]] : []),
    ...(git ? gitFacts(git) : []),
  ];
  const actions = html`<div class="links">
    ${link('openSnapshot', 'folder', t('Open Snapshot'))}
    ${link('compareWithFolder', 'diff', t('Compare with Working Folder'))}
  </div>`;
  return pairs(
    t('Code'),
    entries.filter(([, value]) => value !== ''),
    '',
    snapshot ? actions : nothing,
  );
}

function size({ id, files, bytes }: NonNullable<RunDetail['snapshot']>): TemplateResult {
  const text =
    files === 1
      ? t('1 file, {0}', formatBytes(bytes))
      : t('{0} files, {1}', files.toLocaleString(), formatBytes(bytes));
  return html`<span title=${id}>${text}</span>`;
}

function gitFacts(git: GitFacts): [string, unknown][] {
  const { repositoryUri, branch, commit, submodules } = git;
  return [
    [t('Repository'), repositoryUri ?? ''],
    [t('Branch'), branch ?? (commit ? html`<span class="muted">${t('detached')}</span>` : '')],
    [t('Commit'), commit ? commitText(git, commit) : html`<span class="muted">${t('none yet')}</span>`],
    [t('Work tree'), workTree(git)],
    [t('Submodules'), submodules.length > 0 ? submodules.map((one) => one.path).join(', ') : ''],
  ];
}

function commitText({ pushed }: GitFacts, commit: string): TemplateResult {
  const hint = t('No remote had this commit when the run was submitted: it may be on that machine only.');
  return html`<code title=${commit}>${commit.slice(0, 10)}</code> ${
      pushed === false ? html`<span class="mark" title=${hint}>${t('not pushed')}</span>` : nothing
    }`;
}

function workTree({ dirty, changes }: GitFacts): unknown {
  if (!dirty && !changes) return t('clean');
  if (!changes) return t('has uncommitted changes');
  const parts = [
    changes.patch ? t('a patch of {0}', formatBytes(changes.patch.size)) : '',
    changes.untracked ? t('{0} untracked files', changes.untracked.files.toLocaleString()) : '',
    ...changes.problems,
  ].filter(Boolean);
  return html`${t('uncommitted changes')}
    <span class="mark good" title=${parts.join('\n')}>${t('changes kept')}</span>`;
}

function link(action: Action, glyph: IconName, label: string): TemplateResult {
  return html`<button
    type="button"
    class="link"
    data-action=${action}
    @click=${() => send({ type: 'action', action })}
  >
    ${icon(glyph)}${label}
  </button>`;
}
