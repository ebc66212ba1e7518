import { spawn } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { installCodeServer } from './code-server.ts';
import { cleanEnvironment, node24, run, stopGroup } from './processes.ts';

export interface BrowserVSCodeOptions {
  /** Packaged extensions to install before the start. */
  vsix?: string[];
  /** The folder that {@link BrowserVSCode.url} opens; an empty window without it. */
  folder?: string;
  /** User settings on top of those of a quiet window. */
  settings?: Record<string, unknown>;
  /** Settings of scope `machine`: a window in the browser is a remote one, and takes them from the server only. */
  machineSettings?: Record<string, unknown>;
  /** Variables for the server and so for the extension host; undefined takes one away. */
  env?: Record<string, string | undefined>;
  /** By default temporary folders, removed by `stop()`. Keep the paths short: sockets are made inside. */
  userDataDir?: string;
  extensionsDir?: string;
  /** 0, the default, takes a free one. */
  port?: number;
  /** Off by default: every folder is trusted without a question. */
  workspaceTrust?: boolean;
  /** Query parameters of {@link BrowserVSCode.url}, as VS Code's `payload`; for tests in the extension host. */
  payload?: [string, string][] | ((authority: string) => [string, string][]);
  /** Where the server's output goes; `<userDataDir>/server.log` by default. */
  logFile?: string;
  /** Told what takes time. */
  log?: (text: string) => void;
}

export interface BrowserVSCode {
  /** The address of the window. */
  url: string;
  port: number;
  pid: number;
  userDataDir: string;
  extensionsDir: string;
  logFile: string;
  /** The address of a window on another folder. */
  urlOf(folder?: string, payload?: [string, string][]): string;
  /** Changes user settings; a window sees them after a reload. */
  changeSettings(settings: Record<string, unknown>): Promise<void>;
  /** Ends the server and all it started, and removes its temporary folders. */
  stop(): Promise<void>;
  /** Settles when the server has ended by itself or by `stop()`. */
  ended: Promise<void>;
}

/** What keeps a window free of greetings, offers and moving parts. */
const quiet: Record<string, unknown> = {
  'breadcrumbs.enabled': false,
  'chat.disableAIFeatures': true,
  'editor.minimap.enabled': false,
  'extensions.autoCheckUpdates': false,
  'extensions.autoUpdate': false,
  'extensions.ignoreRecommendations': true,
  'git.openRepositoryInParentFolders': 'never',
  'security.workspace.trust.untrustedFiles': 'open',
  'telemetry.telemetryLevel': 'off',
  'update.mode': 'none',
  'update.showReleaseNotes': false,
  'window.commandCenter': false,
  'workbench.colorTheme': 'Default Light Modern',
  'workbench.enableExperiments': false,
  'workbench.secondarySideBar.defaultVisibility': 'hidden',
  'workbench.startupEditor': 'none',
  'workbench.tips.enabled': false,
  'workbench.welcomePage.walkthroughs.openOnInstall': false,
};

/** Starts VS Code in the browser (code-server), installing it where that is not done yet. */
export async function startBrowserVSCode(options: BrowserVSCodeOptions = {}): Promise<BrowserVSCode> {
  const log = options.log ?? (() => undefined);
  const entry = await installCodeServer(log);
  const temporary: string[] = [];
  const folderFor = async (given: string | undefined, name: string): Promise<string> => {
    if (given) {
      await mkdir(given, { recursive: true });
      return given;
    }
    const made = await mkdtemp(path.join(tmpdir(), `ry-${name}-`));
    temporary.push(made);
    return made;
  };
  const userDataDir = await folderFor(options.userDataDir, 'user');
  const extensionsDir = await folderFor(options.extensionsDir, 'ext');
  const removeTemporary = async (): Promise<void> => {
    for (const dir of temporary) {
      await rm(dir, { recursive: true, force: true, maxRetries: 20, retryDelay: 100 });
    }
  };

  try {
    const settingsFile = path.join(userDataDir, 'User/settings.json');
    await mkdir(path.dirname(settingsFile), { recursive: true });
    const existing = await readFile(settingsFile, 'utf8').then(
      (text) => JSON.parse(text) as Record<string, unknown>,
      () => ({}),
    );
    const writeSettings = (settings: Record<string, unknown>): Promise<void> =>
      writeFile(settingsFile, JSON.stringify(settings, undefined, 2) + '\n');
    await writeSettings({ ...quiet, ...existing, ...options.settings });
    if (options.machineSettings) {
      const file = path.join(userDataDir, 'Machine/settings.json');
      await mkdir(path.dirname(file), { recursive: true });
      await writeFile(file, JSON.stringify(options.machineSettings, undefined, 2) + '\n');
    }
    // Its own file, else it writes one into the user's ~/.config.
    const config = path.join(userDataDir, 'config.yaml');
    await writeFile(config, 'auth: none\ncert: false\n');

    const env = cleanEnvironment(options.env);
    const folders = ['--user-data-dir', userDataDir, '--extensions-dir', extensionsDir, '--config', config];
    if (options.vsix?.length) {
      log(`installing ${options.vsix.map((file) => path.basename(file)).join(', ')}`);
      const installs = options.vsix.flatMap((file) => ['--install-extension', path.resolve(file)]);
      await run(node24(), [entry, ...folders, ...installs, '--force'], { env });
    }

    const args = [
      ...folders,
      ...['--bind-addr', `127.0.0.1:${options.port ?? 0}`, '--auth', 'none'],
      ...['--disable-telemetry', '--disable-update-check', '--ignore-last-opened'],
      // Only with it the payload is honoured; it also keeps notifications from showing.
      ...(options.payload ? ['--vscode-option', 'enable-smoke-test-driver'] : []),
      ...(options.workspaceTrust ? [] : ['--disable-workspace-trust']),
    ];
    const logFile = options.logFile ?? path.join(userDataDir, 'server.log');
    const out = createWriteStream(logFile, { flags: 'a' });
    const guard = new URL('end-with-parent.mjs', import.meta.url).href;
    const child = spawn(node24(), [`--import=${guard}`, entry, ...args], {
      env: { ...env, RUNYARD_RIG_PARENT: String(process.pid) },
      cwd: userDataDir,
      detached: true,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    let text = '';
    let port: number;
    try {
      port = await new Promise<number>((resolve, reject) => {
        const read = (data: Buffer): void => {
          out.write(data);
          if (text.length > 100_000) return;
          text += data.toString();
          const found = /HTTP server listening on http:\/\/127\.0\.0\.1:(\d+)/.exec(text);
          if (found) resolve(Number(found[1]));
        };
        child.stdout.on('data', read);
        child.stderr.on('data', read);
        child.once('error', reject);
        child.once('exit', (code, signal) =>
          reject(new Error(`VS Code in the browser ended with ${code ?? signal}:\n${text.slice(-4000)}`)),
        );
      });
    } catch (error) {
      await stopGroup(child);
      throw error;
    }

    const authority = `127.0.0.1:${port}`;
    const urlOf = (folder?: string, payload?: [string, string][]): string => {
      const query = new URLSearchParams();
      if (folder) query.set('folder', path.resolve(folder));
      else query.set('ew', 'true');
      if (payload) query.set('payload', JSON.stringify(payload));
      return `http://${authority}/?${query.toString().replaceAll('+', '%20')}`;
    };
    const payload = typeof options.payload === 'function' ? options.payload(authority) : options.payload;
    return {
      url: urlOf(options.folder, payload),
      port,
      pid: child.pid ?? 0,
      userDataDir,
      extensionsDir,
      logFile,
      urlOf,
      ended,
      async changeSettings(changes) {
        const now = JSON.parse(await readFile(settingsFile, 'utf8')) as Record<string, unknown>;
        await writeSettings({ ...now, ...changes });
      },
      async stop() {
        await stopGroup(child);
        out.end();
        await removeTemporary();
      },
    };
  } catch (error) {
    await removeTemporary();
    throw error;
  }
}
