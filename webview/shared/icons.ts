import { html, type TemplateResult } from 'lit';
import type { RunStatus } from '../../src/api/run-status.ts';

const paths = {
  check: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM5 8.2l2.1 2.1L11.2 6',
  cross: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM5.7 5.7l4.6 4.6m0-4.6-4.6 4.6',
  slash: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM3.5 12.4 12.5 3.6',
  circle: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13Z',
  clock: 'M8 1.5a6.5 6.5 0 1 0 0 13 6.5 6.5 0 0 0 0-13ZM8 4.4V8l2.6 1.6',
  box: 'M8 1.6 2.3 4.6v6.8L8 14.4l5.7-3V4.6L8 1.6ZM2.5 4.8 8 7.7l5.5-2.9M8 7.7v6.5',
  play: 'M4.5 2.6v10.8L13 8 4.5 2.6Z',
  arc: 'M8 1.5A6.5 6.5 0 1 1 1.5 8',
  stop: 'M3.5 3.5h9v9h-9z',
  warning: 'M8 2 1.6 13.6h12.8L8 2Zm0 4.3v3.6m0 1.6v.4',
  tray: 'M2 4.2h12v2.6H2zM3 6.8v6.4h10V6.8M6.3 9.3h3.4',
  rerun: 'M13.2 8a5.2 5.2 0 1 1-1.6-3.8M13.4 2v3h-3',
  edit: 'M2.6 13.4l.7-3.2 7.6-7.6 2.5 2.5-7.6 7.6-3.2.7Zm6.6-9.1 2.5 2.5',
  folder: 'M1.8 3.4h4.4l1.4 1.8h6.6v7.6H1.8z',
  diff: 'M8 2.6v6M5 5.6h6M5 12.6h6',
  trash: 'M2.8 4.3h10.4M6 4.2V2.6h4v1.6M4.1 4.5l.6 9h6.6l.6-9M6.8 6.8v4.4m2.4-4.4v4.4',
  copy: 'M5.5 5.5V2.3h8.2v8.2h-3.2M2.3 5.5h8.2v8.2H2.3z',
  output: 'M2.2 2.8h11.6v10.4H2.2zM4.8 6h6.4m-6.4 2.4h6.4m-6.4 2.4h3.6',
  download: 'M8 2v8.2m0 0L4.8 7m3.2 3.2L11.2 7M2.6 13.6h10.8',
  open: 'M9.5 2.4h4.1v4.1M13.4 2.6 7.8 8.2M11.8 9.2v4.4H2.4V4.2h4.4',
  close: 'M3.6 3.6l8.8 8.8m0-8.8-8.8 8.8',
  pin: 'M6 1.8h4M6.6 1.8v4.6L4.4 9h7.2L9.4 6.4V1.8M8 9v5.2',
  branch:
    'M4.6 5.2v5.6M4.6 5a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4Zm0 9.4a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4Zm6.8-7.8a1.7 1.7 0 1 0 0-3.4 1.7 1.7 0 0 0 0 3.4Zm0 .2c0 2.4-3 2.6-5.6 3.8',
} as const;

export type IconName = keyof typeof paths;

/** An icon in the colour of the text around it; it says nothing to a screen reader. */
export function icon(name: IconName, slot = ''): TemplateResult {
  return html`<svg class="icon" slot=${slot} viewBox="0 0 16 16" aria-hidden="true" focusable="false">
    <path d=${paths[name]} />
  </svg>`;
}

/** Each status has a shape of its own; colour only adds to it. */
const statusIcons: Record<RunStatus, IconName> = {
  NotStarted: 'circle',
  Queued: 'clock',
  Preparing: 'box',
  Starting: 'play',
  Running: 'arc',
  CancelRequested: 'stop',
  NotResponding: 'warning',
  Finalizing: 'tray',
  Completed: 'check',
  Failed: 'cross',
  Canceled: 'slash',
};

/** The icon of a status, coloured and, for a running one, turning. */
export function statusIcon(status: RunStatus): TemplateResult {
  return html`<span class="status-icon ${status}">${icon(statusIcons[status])}</span>`;
}
