import { html, render } from 'lit';
import type { MetricWindow, Series } from '../../../src/api/entities.ts';
import { formatValue } from '../../shared/format.ts';
import { t } from '../../shared/l10n.ts';
import { LineChart } from './line-chart.ts';
import { forgetWindow, wantWindow } from './window-loader.ts';

const observer = new IntersectionObserver(
  (entries) => {
    for (const entry of entries) (entry.target as MetricCard).seen = entry.isIntersecting;
  },
  { rootMargin: '300px' },
);

/** One metric: its name, its last value and, while it is in sight, its chart. */
export class MetricCard extends HTMLElement {
  private data: Series | undefined;
  private isSeen = false;
  private chart: LineChart | undefined;
  private window: MetricWindow | undefined;
  private drawnCount = -1;

  set series(series: Series) {
    this.data = series;
    this.draw();
    this.refresh();
  }

  set seen(seen: boolean) {
    this.isSeen = seen;
    if (seen) this.refresh();
    else this.drop();
  }

  connectedCallback(): void {
    this.draw();
    observer.observe(this);
  }

  disconnectedCallback(): void {
    observer.unobserve(this);
    this.drop();
  }

  /** Off the screen a card is only text: canvases and points are given back. */
  private drop(): void {
    if (this.data) forgetWindow(this.data.name);
    this.chart?.destroy();
    this.chart = undefined;
    this.window = undefined;
    this.drawnCount = -1;
  }

  private refresh(): void {
    const series = this.data;
    if (!this.isSeen || !series || this.drawnCount === series.count || series.count < 2) return;
    this.drawnCount = series.count;
    wantWindow(series.name, (window) => this.show(window));
  }

  private show(window: MetricWindow): void {
    if (!this.isSeen || window.name !== this.data?.name) return;
    this.window = window;
    this.draw();
    const canvas = this.querySelector('canvas');
    if (!canvas) return;
    this.chart ??= new LineChart(canvas, { titleX: (x) => t('Step {0}', x.toLocaleString()) });
    const ys = window.values.map((value) => (typeof value === 'number' ? value : NaN));
    this.chart.show([{ label: window.name, xs: window.steps, ys }]);
  }

  private draw(): void {
    const series = this.data;
    if (!series) return;
    const single = series.count < 2;
    const last = formatValue(series.last);
    const range =
      series.min === null || single
        ? ''
        : t('min {0} · max {1}', formatValue(series.min), formatValue(series.max));
    const points = single ? '' : t('{0} points', series.count.toLocaleString());
    const nonFinite = this.firstNonFinite();
    render(
      html`<div class="metric-head">
          <h3 title=${series.name}>${series.name}</h3>
          ${single ? '' : html`<span class="metric-last">${last}</span>`}
        </div>
        ${
          single
            ? html`<div class="metric-single">${last}</div>`
            : html`<div class="metric-chart">
                <canvas role="img" aria-label=${`${series.name}: ${last}. ${range}, ${points}`}></canvas>
              </div>`
        }
        <div class="metric-foot">
          <span>${range}</span>
          ${nonFinite ? html`<span class="metric-warning">${nonFinite}</span>` : html`<span>${points}</span>`}
        </div>`,
      this,
    );
  }

  private firstNonFinite(): string {
    const index = this.window?.values.findIndex((value) => typeof value === 'string') ?? -1;
    if (index < 0 || !this.window) return '';
    return t('{0} at step {1}', String(this.window.values[index]), this.window.steps[index] ?? 0);
  }
}

customElements.define('ry-metric', MetricCard);
