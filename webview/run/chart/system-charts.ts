import { html, nothing, render, type TemplateResult } from 'lit';
import type { MonitorSample } from '../../../src/api/entities.ts';
import { byteUnit, formatElapsed } from '../../shared/format.ts';
import { t } from '../../shared/l10n.ts';
import { ask } from '../bridge.ts';
import { LineChart, type Line } from './line-chart.ts';

const pollMs = 3_000;

interface Panel {
  title: string;
  format(value: number): string;
  lines(samples: readonly MonitorSample[]): Line[];
}

/** CPU, memory and GPU of the run over time. */
export class SystemCharts extends HTMLElement {
  /** Whether more samples are to come. */
  live = false;
  private samples: MonitorSample[] | undefined;
  private problem = '';
  private readonly charts = new Map<string, LineChart>();
  /** The unit of an axis grows with its values. */
  private readonly formats = new Map<string, Panel['format']>();
  private timer: ReturnType<typeof setTimeout> | undefined;

  connectedCallback(): void {
    this.draw();
    void this.load();
  }

  disconnectedCallback(): void {
    clearTimeout(this.timer);
    for (const chart of this.charts.values()) chart.destroy();
    this.charts.clear();
  }

  private async load(): Promise<void> {
    try {
      this.samples = await ask('monitor', {});
      this.problem = '';
    } catch (error) {
      this.problem = (error as Error).message;
    }
    if (!this.isConnected) return;
    this.draw();
    if (this.live || this.problem) this.timer = setTimeout(() => void this.load(), pollMs);
  }

  private draw(): void {
    render(this.template(), this);
    const samples = this.samples ?? [];
    for (const panel of panels(samples)) {
      const canvas = this.querySelector<HTMLCanvasElement>(`canvas[data-panel="${CSS.escape(panel.title)}"]`);
      if (!canvas) continue;
      this.formats.set(panel.title, panel.format);
      let chart = this.charts.get(panel.title);
      if (!chart) {
        const formatY = (value: number) => this.formats.get(panel.title)?.(value) ?? String(value);
        const options = { formatX: formatElapsed, titleX: formatElapsed, formatY, beginAtZero: true };
        chart = new LineChart(canvas, options);
        this.charts.set(panel.title, chart);
      }
      chart.show(panel.lines(samples));
    }
  }

  private template(): TemplateResult {
    if (this.problem) return html`<p class="empty">${this.problem}</p>`;
    if (!this.samples) return html`<p class="empty">${t('Loading...')}</p>`;
    if (this.samples.length === 0) {
      return html`<p class="empty">
        ${t('No samples yet. CPU, memory and GPU show here while the run works.')}
      </p>`;
    }
    return html`<div class="cards wide">
      ${panels(this.samples).map(
        (panel) =>
          html`<section class="card">
            <div class="metric-head">
              <h3>${panel.title}</h3>
              ${legend(panel.lines(this.samples ?? []))}
            </div>
            <div class="metric-chart tall">
              <canvas role="img" data-panel=${panel.title} aria-label=${panel.title}></canvas>
            </div>
          </section>`,
      )}
    </div>`;
  }
}

/** Names the lines of a chart that has several. */
function legend(lines: readonly Line[]): TemplateResult | typeof nothing {
  if (lines.length < 2) return nothing;
  return html`<span class="legend">
    ${lines.map((line, i) => html`<span class="legend-item line-${i % 6}">${line.label}</span>`)}
  </span>`;
}

function panels(samples: readonly MonitorSample[]): Panel[] {
  const start = samples[0]?.time ?? 0;
  const line = (label: string, value: (sample: MonitorSample) => number | null | undefined): Line => ({
    label,
    xs: samples.map((sample) => (sample.time - start) / 1000),
    ys: samples.map((sample) => value(sample) ?? NaN),
  });
  const percent = (value: number) => `${Math.round(value * 100)} %`;
  const cores = (value: number) => String(Number(value.toFixed(2)));
  const gpus = [...new Set(samples.flatMap((sample) => sample.gpus.map((gpu) => gpu.index)))].sort();
  const gpu = (index: number, key: 'utilisation' | 'memoryBytes') =>
    line(t('GPU {0}', index), (sample) => sample.gpus.find((one) => one.index === index)?.[key]);
  return [
    { title: t('CPU of the run (cores)'), format: cores, lines: () => [line(t('Run'), (s) => s.cpu)] },
    inBytes(t('Memory of the run'), [line(t('Run'), (s) => s.memoryBytes)]),
    { title: t('CPU of the host'), format: percent, lines: () => [line(t('Host'), (s) => s.hostCpu)] },
    inBytes(t('Memory of the host'), [line(t('Host'), (s) => s.hostMemoryBytes)]),
    ...(gpus.length === 0
      ? []
      : [
          {
            title: t('GPU utilization'),
            format: percent,
            lines: () => gpus.map((index) => gpu(index, 'utilisation')),
          },
          inBytes(
            t('GPU memory'),
            gpus.map((index) => gpu(index, 'memoryBytes')),
          ),
        ]),
  ];
}

/** Bytes in the unit that fits all of them, so that the axis has round numbers. */
function inBytes(title: string, lines: readonly Line[]): Panel {
  let largest = 0;
  for (const { ys } of lines) for (const y of ys) if (y > largest) largest = y;
  const { unit, size } = byteUnit(largest);
  return {
    title,
    format: (value) => `${Number(value.toPrecision(3))} ${unit}`,
    lines: () => lines.map((one) => ({ ...one, ys: one.ys.map((y) => y / size) })),
  };
}

customElements.define('ry-system', SystemCharts);
