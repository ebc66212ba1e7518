import { html, nothing, type TemplateResult } from 'lit';
import { t } from '../../shared/l10n.ts';
import { state, update, type Tab } from '../state.ts';

export interface TabItem {
  id: Tab;
  label: string;
  count?: number;
}

/** A row of tabs that works with the arrow keys, and the panel of the selected one. */
export function tabs(items: readonly TabItem[], body: TemplateResult): TemplateResult {
  const select = (id: Tab) => update({ tab: id });
  const onKey = (event: KeyboardEvent) => {
    const index = items.findIndex((item) => item.id === state.tab);
    const moves: Record<string, number> = {
      ArrowRight: index + 1,
      ArrowLeft: index - 1,
      Home: 0,
      End: items.length - 1,
    };
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const next = items[(move + items.length) % items.length];
    if (!next) return;
    select(next.id);
    document.getElementById(`tab-${next.id}`)?.focus();
  };
  return html`<div class="tabs" role="tablist" aria-label=${t('Parts of the run')} @keydown=${onKey}>
      ${items.map(
        ({ id, label, count }) =>
          html`<button
            id="tab-${id}"
            role="tab"
            aria-selected=${id === state.tab}
            aria-controls="panel"
            tabindex=${id === state.tab ? 0 : -1}
            @click=${() => select(id)}
          >
            ${label}${count ? html`<vscode-badge>${count.toLocaleString()}</vscode-badge>` : nothing}
          </button>`,
      )}
    </div>
    <main id="panel" class="panel panel-${state.tab}" role="tabpanel" aria-labelledby="tab-${state.tab}">
      ${body}
    </main>`;
}
