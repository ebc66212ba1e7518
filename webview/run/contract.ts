import type {
  Artifact,
  MetricWindow,
  MonitorSample,
  Run,
  RunDetail,
  RunDocument,
  RunImage,
  Series,
} from '../../src/api/entities.ts';
import type { EnvironmentComparison, RunEnvironment } from '../../src/api/environment.ts';

/**
 * What the run page and the extension say to each other. The page speaks first (`ready`); from then on it
 * gets a complete snapshot, and after that what has changed. A page that was hidden starts anew.
 */

/** What the page is about and how far the person had come; kept by `setState`, given back on restore. */
export interface PageState {
  workspace: string;
  runId: string;
  tab?: string;
  search?: string;
}

/** Everything of a run that the page shows without asking for parts. */
export interface Snapshot {
  run: RunDetail;
  artifacts: Artifact[];
  documents: RunDocument[];
  images: RunImage[];
}

export type LineState = 'connecting' | 'connected' | 'reconnecting';

/** Buttons of the page; each is one of the extension's commands. */
export type Action =
  | 'cancel'
  | 'rerun'
  | 'rerunWithChanges'
  | 'delete'
  | 'copyId'
  | 'openLog'
  | 'openSnapshot'
  | 'compareWithFolder'
  | 'download'
  | 'serverLog';

/** What the page may ask, with the answers. */
export interface Requests {
  windows: { params: { names: string[]; points: number }; result: MetricWindow[] };
  monitor: { params: Record<string, never>; result: MonitorSample[] };
  /** `size` is the file's size now. */
  read: {
    params: { path: string; offset: number; length: number };
    result: { data: Uint8Array; size: number };
  };
  environment: { params: Record<string, never>; result: RunEnvironment };
  /** The person is asked for the other run; null when they have picked none. */
  compareEnvironment: {
    params: Record<string, never>;
    result: { title: string; comparison: EnvironmentComparison } | null;
  };
}

export type RequestName = keyof Requests;

export type RequestMessage = {
  [N in RequestName]: { type: 'request'; id: number; name: N; params: Requests[N]['params'] };
}[RequestName];

export type ToExtension =
  | { type: 'ready' }
  | RequestMessage
  | { type: 'action'; action: Action }
  /** What can be done with the run's environment. */
  | { type: 'environment'; action: 'show' | 'freeze' | 'copyRequirements' }
  | { type: 'openFile'; path: string }
  | { type: 'saveFile'; path: string }
  /** Bring a file that is on its host only into the workspace. */
  | { type: 'fetchFile'; path: string };

export type ToPage =
  | { type: 'init'; state: PageState; strings: Record<string, string>; now: number }
  | { type: 'snapshot'; snapshot: Snapshot }
  | { type: 'run'; run: Run }
  /** Series that have new points. */
  | { type: 'series'; series: Series[] }
  | { type: 'log'; path: string; size: number }
  | { type: 'line'; state: LineState }
  | { type: 'problem'; message: string }
  | { type: 'answer'; id: number; result: unknown }
  | { type: 'refusal'; id: number; message: string };
