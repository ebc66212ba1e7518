import { html, nothing, type TemplateResult } from 'lit';
import type { Artifact, RunDetail } from '../../../src/api/entities.ts';
import type {
  EnvironmentFacts,
  EnvironmentKind,
  InstalledPackage,
  RunEnvironment,
} from '../../../src/api/environment.ts';
import { formatAgo, formatDuration, formatTime } from '../../shared/format.ts';
import { icon, type IconName } from '../../shared/icons.ts';
import { t } from '../../shared/l10n.ts';
import { ask, send } from '../bridge.ts';
import type { Requests } from '../contract.ts';
import { isLive, state, update } from '../state.ts';
import { comparisonCard } from './environment-comparison.ts';
import { emptyText, moreText, pairs } from './parts.ts';

/** Where the host says what the environment turned out to be. */
const factsFile = 'environment/environment.json';
const drawnPackages = 2000;

let found: RunEnvironment | undefined;
let problem: string | undefined;
/** Of what `found` is; another one means that it has to be fetched again. */
let stamp = '';
let filter = '';
let compared: Requests['compareEnvironment']['result'] = null;
let comparing = false;

/** What the run found installed, and what can be made of that. */
export function environmentTab(run: RunDetail, artifacts: readonly Artifact[]): TemplateResult {
  const file = artifacts.find(({ path }) => path === factsFile);
  void load(`${run.id} ${isLive(run)} ${file?.size} ${file?.modifiedAt}`);
  if (problem !== undefined && !found) return emptyText(problem);
  if (!found) {
    return html`<div class="waiting" role="status">
      <vscode-progress-ring aria-label=${t('Loading...')}></vscode-progress-ring>
    </div>`;
  }
  const packages = found.facts?.packages;
  return html`<div class="environment">
    <aside aria-label=${t('Environment')}>${about(run, found)}</aside>
    <div class="main">
      ${compared ? comparisonCard(compared, closeComparison) : nothing}
      ${packages ? packageCard(packages) : noPackages(run, found)}
    </div>
  </div>`;
}

async function load(of: string): Promise<void> {
  if (stamp === of) return;
  stamp = of;
  try {
    const result = await ask('environment', {});
    if (stamp !== of) return;
    found = result;
    problem = undefined;
  } catch (error) {
    problem = (error as Error).message;
  }
  update({});
}

function about(run: RunDetail, { label, name, kind, definition, facts, unpinned }: RunEnvironment): unknown {
  const link = html`<button
    type="button"
    class="link"
    data-environment="show"
    title=${name === null ? t('Show Definition') : t('Show in Environments')}
    @click=${() => send({ type: 'environment', action: 'show' })}
  >
    ${label}
  </button>`;
  const image = facts?.image;
  const interpreter = facts?.interpreter ?? (image ? '' : run.interpreter);
  // An interpreter as it is has neither a name nor anything to show.
  const shown = name !== null || definition !== null ? link : code(label);
  const entries: [string, unknown][] = [
    [t('Environment'), label ? shown : ''],
    [t('Kind'), kindWord(kind)],
    [t('Python'), facts?.python ?? ''],
    [t('Interpreter'), interpreter === label ? '' : code(interpreter)],
    [t('Image'), code(image)],
    [t('Image id'), imageId(facts)],
    [t('Engine'), facts?.engine ?? ''],
    [t('Built'), built(run, facts)],
    [t('Waited'), facts?.waited_ms ? formatDuration(facts.waited_ms) : ''],
    [t('Not pinned'), unpinned.length > 0 ? loose(unpinned) : ''],
  ];
  const known = Boolean(facts?.packages);
  const actions = html`<div class="links stacked">
    ${action('pin', 'freeze', t('Freeze...'), !known, () => send({ type: 'environment', action: 'freeze' }))}
    ${action('diff', 'compare', t('Compare Environment With...'), comparing, () => void compare())}
    ${action('copy', 'copyRequirements', t('Copy as requirements.txt'), !known, () =>
      send({ type: 'environment', action: 'copyRequirements' }),
    )}
  </div>`;
  return pairs(
    t('Environment'),
    entries.filter(([, value]) => value !== ''),
    '',
    actions,
  );
}

function action(
  glyph: IconName,
  name: string,
  label: string,
  disabled: boolean,
  run: () => void,
): TemplateResult {
  return html`<button
    type="button"
    class="link"
    data-environment=${name}
    ?disabled=${disabled}
    title=${disabled && name !== 'compare' ? t('The list of packages is not known.') : label}
    @click=${run}
  >
    ${icon(glyph)}${label}
  </button>`;
}

async function compare(): Promise<void> {
  comparing = true;
  update({});
  try {
    compared = (await ask('compareEnvironment', {})) ?? compared;
  } catch (error) {
    update({ problem: (error as Error).message });
  } finally {
    comparing = false;
    update({});
  }
}

function closeComparison(): void {
  compared = null;
  update({});
}

function kindWord(kind: EnvironmentKind): string {
  const words: Record<EnvironmentKind, string> = {
    system: t("the host's own Python"),
    interpreter: t('an interpreter that is there'),
    'conda-environment': t('a conda environment that is there'),
    venv: t('pip packages in a venv'),
    conda: t('packages in a conda environment'),
    image: t('a container image'),
    dockerfile: t('an image that a Dockerfile builds'),
  };
  return words[kind];
}

function code(value: string | null | undefined): unknown {
  return value ? html`<code>${value}</code>` : '';
}

/** The id is long and says nothing: its beginning is enough to compare, the whole is in the tooltip. */
function imageId(facts: EnvironmentFacts | null): unknown {
  const id = facts?.image_id;
  if (!id) return '';
  const whole = [id, facts.image_digest].filter(Boolean).join('\n');
  return html`<code title=${whole}>${id.replace(/^sha256:/, '').slice(0, 12)}</code>`;
}

/** "3 days ago on gpu; cached". */
function built(run: RunDetail, facts: EnvironmentFacts | null): unknown {
  if (!facts?.built) return '';
  const now = Date.now() + state.clockOffset;
  const when = t('{0} on {1}', formatAgo(facts.built, now), run.compute);
  const how = facts.cached ? t('it was there already') : t('for this run');
  return html`<span title=${formatTime(facts.built)}>${when} · ${how}</span>`;
}

function loose(unpinned: readonly string[]): TemplateResult {
  const hint = t(
    'Packages without an exact version stay what they are when the environment is first built. Rebuild renews them, Freeze pins them.',
  );
  const some = unpinned.slice(0, 8).join(', ') + (unpinned.length > 8 ? ', ...' : '');
  return html`<span title=${`${hint}\n\n${unpinned.join(', ')}`}>
    <span class="mark">${unpinned.length.toLocaleString()}</span> ${some}
  </span>`;
}

function packageCard(packages: readonly InstalledPackage[]): TemplateResult {
  const needle = filter.trim().toLowerCase();
  const sources = new Set(packages.map(({ source }) => source)).size > 1;
  const sorted = [...packages].sort((a, b) => a.name.localeCompare(b.name, undefined, { numeric: true }));
  const matching = sorted.filter(({ name, version }) => `${name} ${version}`.toLowerCase().includes(needle));
  const count =
    matching.length === packages.length
      ? t('{0} packages', packages.length.toLocaleString())
      : t('{0} of {1} packages', matching.length.toLocaleString(), packages.length.toLocaleString());
  return html`<section class="card packages" aria-label=${t('Packages')}>
    <div class="search">
      <h2>${t('Packages')}</h2>
      <vscode-text-field
        placeholder=${t('Find packages by name')}
        aria-label=${t('Find packages by name')}
        .value=${filter}
        @input=${(event: Event) => {
          filter = (event.target as HTMLInputElement).value;
          update({});
        }}
      ></vscode-text-field>
      <span class="muted" role="status">${count}</span>
    </div>
    ${
      matching.length === 0
        ? html`<p class="empty small">
            ${
              packages.length === 0
                ? t('Nothing is installed beside Python itself.')
                : t('No package has "{0}" in its name.', filter)
            }
          </p>`
        : html`<div class="scroll-y" tabindex="0" role="region" aria-label=${t('Packages')}>
            <table class="package-list">
              <thead>
                <tr>
                  <th scope="col">${t('Package')}</th>
                  <th scope="col">${t('Version')}</th>
                  ${sources ? html`<th scope="col">${t('Installed by')}</th>` : nothing}
                </tr>
              </thead>
              <tbody>
                ${matching.slice(0, drawnPackages).map(
                  ({ name, version, source }) =>
                    html`<tr>
                      <td>${name}</td>
                      <td><code>${version}</code></td>
                      ${sources ? html`<td class="muted">${source}</td>` : nothing}
                    </tr>`,
                )}
              </tbody>
            </table>
          </div>`
    }
    ${moreText(matching.length - drawnPackages)}
  </section>`;
}

function noPackages(run: RunDetail, { facts }: RunEnvironment): TemplateResult {
  if (isLive(run))
    return emptyText(t('The list of packages comes once the command has begun and Python has said it.'));
  if (facts)
    return emptyText(t('The environment has no list of packages: it has no Python, or it did not say.'));
  if (run.startedAt === null)
    return emptyText(t('The command has not begun: there was nothing to be found installed.'));
  return emptyText(
    t('This run has no list of packages. Runs that begin from now on keep what they found installed.'),
  );
}
