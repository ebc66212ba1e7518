import type { Run, RunDetail, Series } from '../../src/api/entities.ts';
import type { LineState, PageState, Snapshot, ToPage } from './contract.ts';
import { saveState } from './bridge.ts';

export type Tab = 'overview' | 'log' | 'tables' | 'files' | 'environment' | 'system' | 'configuration';

/** What the page shows. The run's facts come from the extension only; the person's place is kept here. */
export interface State {
  page: PageState | undefined;
  snapshot: Snapshot | undefined;
  /** Newest points win over the snapshot's. */
  series: Map<string, Series>;
  logSizes: Map<string, number>;
  line: LineState;
  problem: string | undefined;
  tab: Tab;
  search: string;
  /** The extension's clock minus this one's. */
  clockOffset: number;
}

export const state: State = {
  page: undefined,
  snapshot: undefined,
  series: new Map(),
  logSizes: new Map(),
  line: 'connecting',
  problem: undefined,
  tab: 'overview',
  search: '',
  clockOffset: 0,
};

let draw: () => void = () => undefined;
let scheduled = false;

/** Who draws the page. */
export function onChange(render: () => void): void {
  draw = render;
}

/** Changes the state and draws the page with the next frame. */
export function update(patch: Partial<State>): void {
  Object.assign(state, patch);
  if ((patch.tab !== undefined || patch.search !== undefined) && state.page) {
    state.page = { ...state.page, tab: state.tab, search: state.search };
    saveState(state.page);
  }
  if (scheduled) return;
  scheduled = true;
  requestAnimationFrame(() => {
    scheduled = false;
    draw();
  });
}

/** The run as far as it is known. */
export function run(): RunDetail | undefined {
  return state.snapshot?.run;
}

/** Whether the run may still change. */
export function isLive(one: Run): boolean {
  return one.endedAt === null && !['Completed', 'Failed', 'Canceled'].includes(one.status);
}

/** How long the command has taken, until now for one that runs; undefined before it started. */
export function duration(one: Run): number | undefined {
  if (one.endedAt !== null) {
    return one.durationMs ?? (one.startedAt === null ? undefined : one.endedAt - one.startedAt);
  }
  return one.startedAt === null ? undefined : Math.max(0, Date.now() + state.clockOffset - one.startedAt);
}

/** Takes in a message of the extension. */
export function receive(message: ToPage): void {
  switch (message.type) {
    case 'snapshot': {
      const { run: detail, artifacts } = message.snapshot;
      const series = new Map(detail.series.map((one) => [one.name, one]));
      for (const { path, size } of artifacts) state.logSizes.set(path, size);
      return update({ snapshot: message.snapshot, series, problem: undefined });
    }
    case 'run':
      if (!state.snapshot) return;
      return update({
        snapshot: { ...state.snapshot, run: { ...state.snapshot.run, ...message.run } },
      });
    case 'series':
      for (const one of message.series) state.series.set(one.name, one);
      return update({});
    case 'log':
      state.logSizes.set(message.path, message.size);
      return update({});
    case 'line':
      return update({ line: message.state });
    case 'problem':
      return update({ problem: message.message });
  }
}
