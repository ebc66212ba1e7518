import { mkdir } from 'node:fs/promises';
import path from 'node:path';
import {
  chromium,
  type Browser,
  type BrowserContext,
  type FrameLocator,
  type Locator,
  type Page,
} from 'playwright-core';
import { component } from '../../scripts/system-packages.mjs';
import { cleanEnvironment, repository } from './processes.ts';

export type Theme = 'light' | 'dark' | 'high-contrast';

/** How VS Code names a theme in its picker, on the workbench, and inside webviews. */
const themes: Record<Theme, { label: string; workbench: string; webview: string }> = {
  light: { label: 'Light Modern', workbench: 'vs', webview: 'vscode-light' },
  dark: { label: 'Dark Modern', workbench: 'vs-dark', webview: 'vscode-dark' },
  'high-contrast': { label: 'Dark High Contrast', workbench: 'hc-black', webview: 'vscode-high-contrast' },
};

/** Long enough for a busy machine: a wait ends when its condition holds, this only ends a hopeless one. */
const patience = 120_000;

/** Not a limit: after so long without the palette its key is pressed again. */
const paletteMs = 10_000;

export interface BrowserOptions {
  /** By default the browser shows no window of its own. */
  headless?: boolean;
  args?: string[];
}

/** Starts Chromium; throws with what to do where there is none. */
export async function launchBrowser(options: BrowserOptions = {}): Promise<Browser> {
  const { available, path: executablePath, reason } = component('chromium');
  if (!available) throw new Error(reason);
  const headless = options.headless ?? true;
  // In a container there is often nothing to make its sandbox from; a person's own browser keeps it.
  const sandbox = !headless && process.getuid?.() !== 0;
  return chromium.launch({
    executablePath,
    headless,
    chromiumSandbox: sandbox,
    env: cleanEnvironment() as Record<string, string>,
    // The caller ends the browser; Ctrl-C must first let it clean up.
    handleSIGINT: false,
    handleSIGTERM: false,
    handleSIGHUP: false,
    args: [
      ...['--disable-gpu', '--disable-quic', '--no-first-run', '--disable-sync'],
      ...['--disable-background-networking', '--disable-component-update', '--disable-dev-shm-usage'],
      ...(options.args ?? []),
    ],
  });
}

export interface WorkbenchOptions {
  width?: number;
  height?: number;
  /** The page has the size of the browser's window, which a person may change. */
  resizable?: boolean;
  /** Where screenshots go; $RUNYARD_SCREENSHOTS or test-results/screenshots by default. */
  screenshots?: string;
}

/** Opens a VS Code window and waits until it can be used. */
export async function openWorkbench(
  browser: Browser,
  url: string,
  options: WorkbenchOptions = {},
): Promise<Workbench> {
  const context = await browser.newContext({
    viewport: options.resizable ? null : { width: options.width ?? 1280, height: options.height ?? 800 },
    permissions: ['clipboard-read', 'clipboard-write'],
    reducedMotion: 'reduce',
  });
  context.setDefaultTimeout(patience);
  const page = await context.newPage();
  const workbench = new Workbench(page, context, options.screenshots);
  await page.goto(url);
  await workbench.waitForWorkbench();
  return workbench;
}

const escape = (text: string): string => text.replace(/[.*+?^${}()|[\]\\/]/g, '\\$&');

/** What a name in the interface is matched with: a string exactly, a pattern anywhere. */
export type Name = string | RegExp;
const exactly = (name: Name): RegExp =>
  name instanceof RegExp ? name : new RegExp(`^\\s*${escape(name)}\\s*$`);

/** Whether something comes up soon; a caller that gets no tries again. */
const appears = (locator: Locator): Promise<boolean> =>
  locator.waitFor({ timeout: 2000 }).then(
    () => true,
    () => false,
  );

/** A VS Code window: what a person sees and does in it. */
export class Workbench {
  readonly page: Page;
  readonly context: BrowserContext;
  readonly quickInput: QuickInput;
  /** Errors that the page logged, for the report of a failing test. */
  readonly errors: string[] = [];
  private readonly screenshots: string;
  private theme: Theme | undefined;

  constructor(page: Page, context: BrowserContext, screenshots?: string) {
    this.page = page;
    this.context = context;
    this.quickInput = new QuickInput(page);
    this.screenshots = path.resolve(
      repository,
      screenshots ?? process.env['RUNYARD_SCREENSHOTS'] ?? 'test-results/screenshots',
    );
    page.on('console', (message) => {
      if (message.type() === 'error') this.errors.push(message.text());
    });
    page.on('pageerror', (error) => this.errors.push(String(error)));
  }

  /** Waits until the window's parts are there. What extensions add comes later: every helper waits for it. */
  async waitForWorkbench(): Promise<void> {
    await this.page.locator('.monaco-workbench .part.statusbar').waitFor();
    await this.page.locator('.monaco-workbench .part.activitybar .action-item').first().waitFor();
  }

  /** Loads the window again, as a person does who closes and reopens it. */
  async reload(): Promise<void> {
    await this.page.reload();
    await this.waitForWorkbench();
  }

  async close(): Promise<void> {
    await this.context.close();
  }

  // Commands

  /** Opens the command palette; what is typed is looked for among all commands. */
  async openCommandPalette(): Promise<void> {
    await this.eventually('the command palette does not open', async () => {
      await this.quickInput.cancel();
      await this.page.keyboard.press('F1');
      return this.quickInput.input.waitFor({ timeout: paletteMs }).then(
        () => true,
        () => false,
      );
    });
  }

  /**
   * Runs a command of the palette by its whole title, category included: `Runyard: Submit Run`. Waits for
   * the command to be there, as extensions register theirs a while after the window has opened.
   */
  async runCommand(title: string): Promise<void> {
    const row = this.quickInput.row(title).first();
    await this.eventually(`no command "${title}" in the palette`, async () => {
      await this.openCommandPalette();
      // A page that takes the focus at this moment closes the palette again: then once more.
      const filled = await this.quickInput.input.fill(`>${title}`, { timeout: paletteMs }).then(
        () => true,
        () => false,
      );
      return filled && appears(row);
    });
    await row.click();
  }

  // Views

  /** Shows a view container by the name in the activity bar. */
  async showContainer(name: string): Promise<void> {
    const item = this.page.locator('.part.activitybar .action-item', {
      has: this.page.locator(`.action-label[aria-label^="${name}"]`),
    });
    await item.first().waitFor();
    // A click on the container that is shown already would hide it.
    if ((await item.first().getAttribute('aria-expanded')) !== 'true') await item.first().click();
    await this.page
      .locator('.part.sidebar .composite.title', { hasText: new RegExp(escape(name), 'i') })
      .waitFor();
  }

  /** A view of the side bar by the name in its header. */
  view(name: string): Locator {
    return this.page.locator('.part.sidebar .pane', {
      has: this.page.locator(`.pane-header[aria-label^="${name}"]`),
    });
  }

  /** Opens a view of the shown container where it is folded. */
  async expandView(name: string): Promise<void> {
    const header = this.view(name).locator('.pane-header');
    if ((await header.getAttribute('aria-expanded')) === 'false') await header.click();
  }

  /** The rows of a tree view, or those with this label. */
  treeRows(view: string, label?: Name): Locator {
    const rows = this.view(view).locator('.monaco-list-row');
    return label === undefined
      ? rows
      : rows.filter({ has: this.page.locator('.label-name', { hasText: exactly(label) }) });
  }

  /**
   * Waits for a row of a tree view and opens it where it is folded. A tree that is drawn anew meanwhile loses a
   * click, and its rows are other elements then: it is looked at again, and clicked again.
   */
  async expandTreeRow(view: string, label: Name): Promise<void> {
    const row = this.treeRows(view, label).first();
    await row.waitFor();
    for (let tries = 1; ; tries++) {
      if ((await row.getAttribute('aria-expanded')) === 'true') return;
      await row.locator('.monaco-tl-twistie').click();
      for (let looks = 0; looks < 50; looks++) {
        if ((await row.getAttribute('aria-expanded')) === 'true') return;
        await this.page.waitForTimeout(100);
      }
      if (tries === 10) throw new Error(`${String(label)} in ${view} does not open`);
    }
  }

  /**
   * Chooses an entry of a row's context menu. Extensions add theirs a while after the window has opened, so
   * the menu is opened again until the entry is there.
   */
  async contextMenu(target: Locator, entry: Name): Promise<void> {
    const item = this.menuItem(entry);
    await this.eventually(`no entry "${entry}" in the context menu`, async () => {
      await target.click({ button: 'right' });
      if (await appears(item)) return true;
      await this.page.keyboard.press('Escape');
      return false;
    });
    await item.hover();
    await item.click();
  }

  /** An entry of the menu that is open. */
  menuItem(entry: Name): Locator {
    return this.page
      .locator('.context-view .monaco-menu .action-item')
      .filter({ has: this.page.locator('.action-label', { hasText: exactly(entry) }) })
      .first();
  }

  private async eventually(failure: string, attempt: () => Promise<boolean>): Promise<void> {
    const end = Date.now() + patience;
    while (!(await attempt())) if (Date.now() > end) throw new Error(failure);
  }

  /** Presses an inline button of a row; its name is the command's title. */
  async rowAction(row: Locator, name: string): Promise<void> {
    await row.hover();
    await row.locator(`.actions .action-label[aria-label^="${name}"]`).first().click();
  }

  // Explorer

  /** A file or folder of the explorer. */
  explorerRow(name: string): Locator {
    return this.page.locator('.explorer-folders-view .monaco-list-row', {
      has: this.page.locator('.label-name', { hasText: exactly(name) }),
    });
  }

  /** Right-clicks a file or folder in the explorer and chooses an entry. */
  async explorerMenu(name: string, entry: Name): Promise<void> {
    await this.showContainer('Explorer');
    await this.explorerRow(name).waitFor();
    await this.contextMenu(this.explorerRow(name), entry);
  }

  // Editors, notifications, dialogs, the status bar

  tab(name: Name): Locator {
    return this.page.locator('.part.editor .tab', {
      has: this.page.locator('.label-name', { hasText: exactly(name) }),
    });
  }

  /** The document of the (nth) webview that is shown; a selector inside it waits until it is there. */
  webview(nth = 0): FrameLocator {
    return this.page
      .locator('iframe.webview.ready:visible')
      .nth(nth)
      .contentFrame()
      .frameLocator('#active-frame');
  }

  /** A notification with this text. */
  notification(text: Name): Locator {
    return this.page.locator('.notification-toast', {
      has: this.page.locator('.notification-list-item-message', { hasText: text }),
    });
  }

  async notificationButton(text: Name, button: Name): Promise<void> {
    await this.notification(text)
      .first()
      .locator('.monaco-button', { hasText: exactly(button) })
      .click();
  }

  /** A modal dialog with this text. */
  dialog(text?: Name): Locator {
    const box = this.page.locator('.monaco-dialog-box');
    return text === undefined ? box : box.filter({ hasText: text });
  }

  async dialogButton(button: Name): Promise<void> {
    await this.dialog()
      .locator('.monaco-button', { hasText: exactly(button) })
      .click();
  }

  statusBarItem(text: Name): Locator {
    return this.page.locator('.part.statusbar .statusbar-item', { hasText: text });
  }

  // Appearance

  /** Changes the colour theme as a person does, and waits until the window and its webviews follow. */
  async setTheme(theme: Theme): Promise<void> {
    const { label, workbench, webview } = themes[theme];
    if (theme !== this.theme) {
      await this.runCommand('Preferences: Color Theme');
      await this.quickInput.type(label);
      await this.quickInput.pick(label);
      await this.page.locator(`.monaco-workbench.${workbench}`).waitFor();
      this.theme = theme;
    }
    const count = await this.page.locator('iframe.webview.ready:visible').count();
    for (let n = 0; n < count; n++) await this.webview(n).locator(`body.${webview}`).waitFor();
  }

  /** Takes a picture, in a theme where one is given, and returns its path. */
  async screenshot(name: string, theme?: Theme): Promise<string> {
    if (theme) await this.setTheme(theme);
    await mkdir(this.screenshots, { recursive: true });
    const file = path.join(this.screenshots, theme ? `${name}-${theme}.png` : `${name}.png`);
    await this.page.screenshot({ path: file, animations: 'disabled', caret: 'hide' });
    return file;
  }
}

/** The quick pick and input box at the top of the window. */
export class QuickInput {
  readonly widget: Locator;
  readonly input: Locator;
  private readonly page: Page;

  constructor(page: Page) {
    this.page = page;
    this.widget = page.locator('.quick-input-widget:visible');
    this.input = this.widget.locator('.quick-input-box input');
  }

  /** Waits until one is open; with this title or placeholder where given. */
  async waitUntilOpen(about: { title?: Name; placeholder?: Name } = {}): Promise<void> {
    await this.input.waitFor();
    if (about.title !== undefined) {
      await this.widget.locator('.quick-input-title', { hasText: exactly(about.title) }).waitFor();
    }
    if (about.placeholder !== undefined) {
      await this.widget.getByPlaceholder(exactly(about.placeholder)).waitFor();
    }
  }

  async waitUntilClosed(): Promise<void> {
    await this.widget.waitFor({ state: 'hidden' });
  }

  /** The entries, or those with this label. */
  row(label?: Name): Locator {
    const rows = this.widget.locator('.quick-input-list .monaco-list-row');
    return label === undefined
      ? rows
      : rows.filter({ has: this.page.locator('.label-name', { hasText: exactly(label) }) });
  }

  /** The labels of the entries that are shown. */
  async labels(): Promise<string[]> {
    return this.row().locator('.quick-input-list-row .label-name').allInnerTexts();
  }

  async type(text: string): Promise<void> {
    await this.waitUntilOpen();
    await this.input.fill(text);
  }

  /** Chooses the entry with this label once it is there. */
  async pick(label: Name): Promise<void> {
    await this.row(label).first().click();
  }

  /** Presses Enter: takes the text or the chosen entry. */
  async accept(): Promise<void> {
    await this.input.press('Enter');
  }

  /** Goes back a step. */
  async back(): Promise<void> {
    await this.widget.locator('.quick-input-titlebar .action-label[aria-label^="Back"]').click();
  }

  /** The message under an input box: why the text cannot be taken. */
  message(): Locator {
    return this.widget.locator('.quick-input-message');
  }

  /** Closes it where it is open. */
  async cancel(): Promise<void> {
    if (!(await this.widget.isVisible())) return;
    await this.page.keyboard.press('Escape');
    await this.waitUntilClosed();
  }
}
