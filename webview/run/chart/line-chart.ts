import {
  Chart,
  LinearScale,
  LineController,
  LineElement,
  PointElement,
  Tooltip,
  type ChartConfiguration,
} from 'chart.js';
import { formatTick, formatValue } from '../../shared/format.ts';
import { onThemeChange, readTheme } from './theme.ts';

Chart.register(LineController, LineElement, PointElement, LinearScale, Tooltip);

export interface Line {
  label: string;
  xs: readonly number[];
  /** NaN: a gap. */
  ys: readonly number[];
}

export interface LineChartOptions {
  formatX?(value: number): string;
  formatY?(value: number): string;
  /** What the tooltip says about a place on the x axis. */
  titleX(value: number): string;
  beginAtZero?: boolean;
}

/** Up to so many points each gets a mark. */
const markedPoints = 40;

/** A line chart in the editor's colours. */
export class LineChart {
  private chart: Chart<'line', { x: number; y: number }[]>;
  private lines: readonly Line[] = [];
  private readonly stopListening: () => void;

  constructor(canvas: HTMLCanvasElement, options: LineChartOptions) {
    this.chart = new Chart(canvas, configuration(options));
    this.stopListening = onThemeChange(() => {
      // A new chart: points of the old one keep the colours that they were made with.
      this.chart.destroy();
      this.chart = new Chart(canvas, configuration(options));
      this.show(this.lines);
    });
  }

  show(lines: readonly Line[]): void {
    this.lines = lines;
    this.chart.data.datasets = lines.map((line) => {
      const ascending = line.xs.every((x, i) => i === 0 || x >= line.xs[i - 1]!);
      return {
        label: line.label,
        data: line.xs.map((x, i) => ({ x, y: line.ys[i]! })),
        // Chart.js takes unparsed data for sorted; a step that goes backwards needs its slow path.
        ...(ascending ? {} : { parsing: { xAxisKey: 'x', yAxisKey: 'y' } }),
        pointRadius: marks(line.ys),
      };
    });
    this.paint();
    this.chart.update('none');
  }

  destroy(): void {
    this.stopListening();
    this.chart.destroy();
  }

  private paint(): void {
    const theme = readTheme();
    const { options, data } = this.chart;
    for (const [i, set] of data.datasets.entries()) {
      const color = theme.lines[i % theme.lines.length]!;
      Object.assign(set, {
        borderColor: color,
        backgroundColor: color,
        pointBackgroundColor: color,
        pointHoverBackgroundColor: color,
      });
    }
    for (const axis of [options.scales?.['x'], options.scales?.['y']]) {
      Object.assign(axis?.ticks ?? {}, { color: theme.muted, font: { family: theme.font, size: 10 } });
      Object.assign(axis?.grid ?? {}, { color: theme.grid });
    }
    Object.assign(options.plugins?.tooltip ?? {}, {
      backgroundColor: theme.tooltipBackground,
      borderColor: theme.tooltipBorder,
      titleColor: theme.muted,
      bodyColor: theme.text,
      titleFont: { family: theme.font, size: 11, weight: 'normal' },
      bodyFont: { family: theme.font, size: 12 },
    });
  }
}

/** Marks for few points, and for points that stand alone between gaps: without they would not be seen. */
function marks(ys: readonly number[]): number | number[] {
  if (ys.length <= markedPoints) return 2;
  const gap = (i: number) => i < 0 || i >= ys.length || !Number.isFinite(ys[i]);
  if (!ys.some((y) => !Number.isFinite(y))) return 0;
  return ys.map((_, i) => (gap(i - 1) && gap(i + 1) ? 2 : 0));
}

/** The axis ends where the data ends; a tick there may not run into its neighbour. */
function dropCrowded(axis: { ticks: { value: number }[] }): void {
  const { ticks } = axis;
  if (ticks.length < 3) return;
  const step = ticks[2]!.value - ticks[1]!.value;
  const [last, before] = [ticks.at(-1)!, ticks.at(-2)!];
  if (last.value - before.value < step * 0.75) axis.ticks = ticks.slice(0, -1);
  if (ticks[1]!.value - ticks[0]!.value < step * 0.75) axis.ticks = axis.ticks.slice(1);
}

function configuration(options: LineChartOptions): ChartConfiguration<'line', { x: number; y: number }[]> {
  return {
    type: 'line',
    data: { datasets: [] },
    options: {
      animation: false,
      responsive: true,
      maintainAspectRatio: false,
      parsing: false,
      spanGaps: false,
      interaction: { mode: 'nearest', axis: 'x', intersect: false },
      layout: { padding: { top: 4, right: 6 } },
      elements: {
        line: { borderWidth: 1.5, tension: 0, borderJoinStyle: 'round' },
        point: { hitRadius: 8, hoverRadius: 3.5, borderWidth: 0 },
      },
      scales: {
        x: {
          type: 'linear',
          bounds: 'data',
          afterBuildTicks: dropCrowded,
          border: { display: false },
          grid: { display: false },
          ticks: {
            maxTicksLimit: 6,
            maxRotation: 0,
            callback: (value) => (options.formatX ?? formatTick)(Number(value)),
          },
        },
        y: {
          type: 'linear',
          beginAtZero: options.beginAtZero ?? false,
          border: { display: false },
          grid: { drawTicks: false },
          ticks: {
            maxTicksLimit: 5,
            padding: 6,
            callback: (value) => (options.formatY ?? formatTick)(Number(value)),
          },
        },
      },
      plugins: {
        tooltip: {
          displayColors: false,
          borderWidth: 1,
          cornerRadius: 3,
          padding: 8,
          callbacks: {
            title: ([item]) => (item ? options.titleX(item.parsed.x ?? 0) : ''),
            label: (item) => {
              const value = item.parsed.y ?? NaN;
              return `${item.dataset.label}: ${options.formatY ? options.formatY(value) : formatValue(value)}`;
            },
          },
        },
      },
    },
  };
}
