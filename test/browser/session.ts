import { cp, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import type { Browser, FrameLocator, Locator } from 'playwright-core';
import { Client } from '../../src/client/client.ts';
import type { Run } from '../../src/api/entities.ts';
import { isTerminal } from '../../src/api/run-status.ts';
import { launchBrowser, openWorkbench, type Workbench, type WorkbenchOptions } from '../rig/browser.ts';
import { repository } from '../rig/processes.ts';
import { type BrowserVSCode, type BrowserVSCodeOptions, startBrowserVSCode } from '../rig/vscode-browser.ts';

export interface SessionOptions {
  /** Files of the opened folder by path. */
  files?: Record<string, string>;
  /** Examples to copy into it. */
  examples?: string[];
  settings?: Record<string, unknown>;
  machineSettings?: Record<string, unknown>;
  workspaceTrust?: boolean;
  /** Variables of the extension host, and so of the server; undefined takes one away. */
  env?: Record<string, string | undefined>;
  window?: WorkbenchOptions;
}

/** A VS Code with the packaged extension, its window, and a home of its own. Undone by `close`. */
export class Session {
  readonly code: BrowserVSCode;
  readonly browser: Browser;
  readonly window: Workbench;
  readonly folder: string;
  readonly home: string;
  private readonly base: string;
  private client: Client | undefined;

  private constructor(fields: {
    code: BrowserVSCode;
    browser: Browser;
    window: Workbench;
    folder: string;
    home: string;
    base: string;
  }) {
    this.code = fields.code;
    this.browser = fields.browser;
    this.window = fields.window;
    this.folder = fields.folder;
    this.home = fields.home;
    this.base = fields.base;
  }

  static async open(options: SessionOptions = {}): Promise<Session> {
    const vsix = path.join(repository, 'dist/runyard.vsix');
    if (!existsSync(vsix)) throw new Error('There is no dist/runyard.vsix: run "npm run package" first.');
    const base = await mkdtemp(path.join(tmpdir(), 'ry-b-'));
    const home = path.join(base, 'home');
    const folder = path.join(base, 'project');
    await mkdir(folder);
    for (const name of options.examples ?? []) {
      await cp(path.join(repository, 'examples', name), path.join(folder, name), { recursive: true });
    }
    for (const [name, text] of Object.entries(options.files ?? {})) {
      await mkdir(path.dirname(path.join(folder, name)), { recursive: true });
      await writeFile(path.join(folder, name), text);
    }
    const start: BrowserVSCodeOptions = { vsix: [vsix], folder, env: { RUNYARD_HOME: home, ...options.env } };
    if (options.settings) start.settings = options.settings;
    if (options.machineSettings) start.machineSettings = options.machineSettings;
    if (options.workspaceTrust) start.workspaceTrust = true;
    const code = await startBrowserVSCode(start);
    const browser = await launchBrowser();
    const window = await openWorkbench(browser, code.url, options.window);
    return new Session({ code, browser, window, folder, home, base });
  }

  async close(): Promise<void> {
    // The window goes first: as long as it is there it starts a server again that has ended.
    await this.browser.close();
    await this.code.stop();
    try {
      await this.stopServer();
    } finally {
      await rm(this.base, { recursive: true, force: true, maxRetries: 10 });
    }
  }

  /** One more window on the same folder. */
  openWindow(): Promise<Workbench> {
    return openWorkbench(this.browser, this.code.url);
  }

  /** What the server says, as one more client. */
  async api(): Promise<Client> {
    this.client ??= new Client({ home: this.home, distDir: path.join(repository, 'dist') });
    return this.client;
  }

  /** The newest run of an experiment. */
  async newestRun(experiment: string): Promise<Run | undefined> {
    const client = await this.api();
    const { runs } = await client.call('listRuns', {
      params: { workspace: 'default' },
      query: { experiment, limit: 1 },
    });
    return runs[0];
  }

  /** Right-clicks a folder or file and chooses *Submit Run*; the first question is open then. */
  async askToSubmit(name: string): Promise<void> {
    await this.window.explorerMenu(name, 'Submit Run...');
    await this.window.quickInput.waitUntilOpen();
  }

  /** Submits a folder whose questions are all answered by Enter. */
  async submitNew(name: string): Promise<void> {
    await this.askToSubmit(name);
    for (const step of [1, 2, 3, 4, 5]) {
      await this.step(step);
      await this.window.quickInput.accept();
    }
  }

  /** Opens a file of the snapshot's view. What is told of the row above may lie over this one: it is clicked again. */
  async openSnapshotFile(name: string): Promise<void> {
    for (let tries = 1; ; tries++) {
      await this.window.treeRows('Snapshot', name).click();
      try {
        await this.fileTab(name).waitFor({ timeout: 10_000 });
        return;
      } catch (error) {
        if (tries === 5) throw error;
        await this.window.page.mouse.move(640, 400);
      }
    }
  }

  /** The tab of a file; the editor draws a file's ending apart from its name. */
  fileTab(name: string): Locator {
    return this.window.page.locator(`.part.editor .tab[data-resource-name="${name}"]`);
  }

  /** Waits until the n-th of the five questions is asked and can be answered. */
  async step(n: number): Promise<void> {
    const { widget } = this.window.quickInput;
    await widget.locator('.quick-input-title', { hasText: `(${n}/5)` }).waitFor();
    if (n !== 2) await this.window.quickInput.row().first().waitFor();
  }

  /** Submits a folder's run configuration. */
  async submitConfiguration(folder: string, configuration: string): Promise<void> {
    await this.askToSubmit(folder);
    await this.window.quickInput.pick(new RegExp(`\\b${configuration}$`));
  }

  /** After a test that failed: what the window shows goes to test-results/. */
  async pictureOfFailure(test: { name: string; passed?: boolean }): Promise<void> {
    if (test.passed) return;
    const file = `failed-${test.name.replace(/\W+/g, '-').slice(0, 60)}`;
    await this.window.screenshot(file).catch(() => undefined);
  }

  private async stopServer(): Promise<void> {
    if (!existsSync(path.join(this.home, 'server'))) return;
    const client = await this.api();
    const params = { workspace: 'default' };
    const { runs } = await client.call('listRuns', { params, query: { active: 'true', limit: 1000 } });
    for (const run of runs) {
      await client.call('cancelRun', { params: { ...params, run: run.id } }).catch(() => undefined);
    }
    for (const { id } of runs) {
      for (;;) {
        const run = await client.call('getRun', { params: { ...params, run: id } });
        if (isTerminal(run.status)) break;
        await new Promise((resolve) => setTimeout(resolve, 100));
      }
    }
    const { pid } = await client.call('getServer');
    await client.call('drainServer', { body: {} });
    client.close();
    while (existsSync(`/proc/${pid}`)) await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The page of the run that is shown: its parts by what a person sees. */
export class RunPageView {
  readonly frame: FrameLocator;

  constructor(window: Workbench) {
    this.frame = window.webview();
  }

  /** Waits until it is this run's page; the page of another may have been there before. */
  async opened(name: string): Promise<void> {
    await this.frame.locator('h1', { hasText: name }).waitFor();
  }

  /** Opens a run by its row in the tree. Rows move while runs come and go: a click that met another is repeated. */
  static async openFromTree(window: Workbench, row: string | RegExp, name: string): Promise<RunPageView> {
    const page = new RunPageView(window);
    for (let tries = 1; ; tries++) {
      await window.treeRows('Experiments', row).click();
      try {
        await page.frame.locator('h1', { hasText: name }).waitFor({ timeout: 10_000 });
        return page;
      } catch (error) {
        if (tries === 5) throw error;
      }
    }
  }

  status(word: string): Locator {
    return this.frame.locator('.status', { hasText: word });
  }

  tab(name: string): Locator {
    return this.frame.locator(`#tab-${name}`);
  }

  action(name: string): Locator {
    return this.frame.locator(`[data-action="${name}"]`);
  }

  /** The chart of a metric. */
  chart(name: string): Locator {
    return this.frame.locator(`[data-metric="${name}"] canvas`);
  }

  /** Waits until something is drawn on a chart. */
  async drawn(name: string): Promise<void> {
    const chart = this.chart(name);
    await chart.scrollIntoViewIfNeeded();
    for (;;) {
      const pixels = await chart.evaluate((element) => {
        interface Canvas {
          width: number;
          height: number;
          getContext(kind: '2d'): {
            getImageData(x: number, y: number, w: number, h: number): { data: Uint8ClampedArray };
          };
        }
        const canvas = element as unknown as Canvas;
        const { data } = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
        return data.filter((value, i) => i % 4 === 3 && value > 0).length;
      });
      if (pixels > 200) return;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }

  /** A fact in the column beside the charts. */
  fact(name: string): Locator {
    return this.frame.locator('.pair', {
      has: this.frame.locator('dt', { hasText: new RegExp(`^${name}$`) }),
    });
  }
}
