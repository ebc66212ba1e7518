/** The editor's colours as charts need them. */
export interface ChartTheme {
  text: string;
  muted: string;
  grid: string;
  lines: string[];
  tooltipBackground: string;
  tooltipBorder: string;
  font: string;
}

/** Reads the colours of the theme that is on now. */
export function readTheme(): ChartTheme {
  const style = getComputedStyle(document.documentElement);
  const color = (...names: string[]) => {
    for (const name of names) {
      const value = style.getPropertyValue(`--vscode-${name}`).trim();
      if (value) return value;
    }
    return style.color;
  };
  return {
    text: color('editor-foreground', 'foreground'),
    muted: color('descriptionForeground', 'foreground'),
    grid:
      gridColor() ?? color('editorIndentGuide-background1', 'editorIndentGuide-background', 'widget-border'),
    lines: [
      color('charts-blue', 'foreground'),
      color('charts-orange', 'foreground'),
      color('charts-green', 'foreground'),
      color('charts-purple', 'foreground'),
      color('charts-red', 'foreground'),
      color('charts-yellow', 'foreground'),
    ],
    tooltipBackground: color('editorHoverWidget-background', 'editor-background'),
    tooltipBorder: color('editorHoverWidget-border', 'contrastBorder'),
    font: style.getPropertyValue('--vscode-font-family') || 'sans-serif',
  };
}

/** In high contrast the editor's own guides are as strong as its text: lines would drown in them. */
function gridColor(): string | undefined {
  const { classList } = document.body;
  if (classList.contains('vscode-high-contrast-light')) return 'rgba(0, 0, 0, 0.3)';
  return classList.contains('vscode-high-contrast') ? 'rgba(255, 255, 255, 0.3)' : undefined;
}

const listeners = new Set<() => void>();

/** Calls back when the person changes the theme. */
export function onThemeChange(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

new MutationObserver(() => {
  for (const listener of listeners) listener();
}).observe(document.body, { attributes: true, attributeFilter: ['class', 'data-vscode-theme-id'] });
