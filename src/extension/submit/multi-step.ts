import * as vscode from 'vscode';

/** The person wants the step before this one. */
export const back = Symbol('back');

export interface StepFrame {
  title: string;
  step: number;
  totalSteps: number;
  /** Shows *Back* on the first step too. */
  canGoBack?: boolean;
  placeholder?: string;
  prompt?: string;
}

export interface StepItem extends vscode.QuickPickItem {
  /**
   * Done instead of taking the item as the answer: that is the item which the result says, and without one the pick
   * stays open.
   */
  action?(): Promise<((item: StepItem) => boolean) | undefined | void>;
}

interface PickOptions<T extends StepItem> extends StepFrame {
  items(typed: string): T[];
  /** The item with which the pick opens. */
  active?: (item: T) => boolean;
  /** When it has settled, there may be other items. */
  later?: Promise<unknown>;
  /** A button on an item was pressed. */
  onItemButton?(item: T, button: vscode.QuickInputButton): void;
}

/** A quick pick as one step: the chosen item, `back`, or undefined when it was dismissed. */
export async function pickStep<T extends StepItem>(
  options: PickOptions<T>,
): Promise<T | typeof back | undefined> {
  const pick = vscode.window.createQuickPick<T>();
  frame(pick, options);
  pick.placeholder = options.placeholder ?? '';
  pick.matchOnDescription = true;
  pick.matchOnDetail = true;
  const fill = () => (pick.items = options.items(pick.value.trim()));
  fill();
  const active = pick.items.find((item) => options.active?.(item));
  if (active) pick.activeItems = [active];
  let closed = false;
  try {
    return await new Promise((resolve) => {
      let acting = false;
      pick.onDidChangeValue(fill);
      pick.onDidTriggerButton((button) => button === vscode.QuickInputButtons.Back && resolve(back));
      pick.onDidTriggerItemButton(({ item, button }) => options.onItemButton?.(item, button));
      pick.onDidAccept(async () => {
        const [item] = pick.selectedItems;
        if (!item) return;
        if (!item.action) return resolve(item);
        acting = true;
        let next: ((item: StepItem) => boolean) | undefined | void;
        try {
          next = await item.action();
        } finally {
          acting = false;
        }
        frame(pick, options);
        pick.value = '';
        fill();
        const answer = next && pick.items.find(next);
        if (answer) return resolve(answer);
        pick.show();
      });
      pick.onDidHide(() => !acting && resolve(undefined));
      pick.show();
      void options.later?.then(() => {
        if (closed || acting) return;
        const [label] = pick.activeItems.map((item) => item.label);
        fill();
        pick.activeItems = pick.items.filter((item) => item.label === label).slice(0, 1);
      });
    });
  } finally {
    closed = true;
    pick.dispose();
  }
}

interface InputOptions extends StepFrame {
  value: string;
  /** Why the last answer was refused; gone with the next key. */
  problem?: string;
  validate?(text: string): string | undefined;
}

/** An input box as one step: the text, `back`, or undefined when it was dismissed. */
export async function inputStep(options: InputOptions): Promise<string | typeof back | undefined> {
  const box = vscode.window.createInputBox();
  frame(box, options);
  box.value = options.value;
  box.placeholder = options.placeholder ?? '';
  box.prompt = options.prompt ?? '';
  box.validationMessage = options.problem ?? '';
  try {
    return await new Promise((resolve) => {
      const check = () => (box.validationMessage = options.validate?.(box.value) ?? '');
      box.onDidChangeValue(check);
      box.onDidTriggerButton((button) => button === vscode.QuickInputButtons.Back && resolve(back));
      box.onDidAccept(() => !check() && resolve(box.value));
      box.onDidHide(() => resolve(undefined));
      box.show();
    });
  } finally {
    box.dispose();
  }
}

/**
 * Asks the steps in order; `back` goes to the one before, and out of the first one gives `back` itself.
 * False: the person has dismissed a step.
 */
export async function runSteps(
  steps: readonly (() => Promise<typeof back | boolean>)[],
  first = 0,
): Promise<typeof back | boolean> {
  for (let i = first; i < steps.length;) {
    const result = await steps[i]!();
    if (result === back) {
      if (i === 0) return back;
      i -= 1;
    } else if (result) i += 1;
    else return false;
  }
  return true;
}

type Frame = Pick<vscode.InputBox, 'title' | 'step' | 'totalSteps' | 'ignoreFocusOut' | 'buttons'>;

function frame(input: Frame, options: StepFrame): void {
  input.title = options.title;
  if (options.totalSteps > 1) {
    input.step = options.step;
    input.totalSteps = options.totalSteps;
  }
  input.ignoreFocusOut = true;
  input.buttons = options.step > 1 || options.canGoBack ? [vscode.QuickInputButtons.Back] : [];
}
