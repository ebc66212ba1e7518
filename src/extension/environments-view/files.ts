import path from 'node:path';
import * as vscode from 'vscode';

/** Files that an environment can be made of. */
export type EnvironmentFileKind = 'pip' | 'conda' | 'project' | 'dockerfile' | 'azure';

/** What kind of such a file it is by its name; undefined for any other. */
export function fileKindOf(file: string): EnvironmentFileKind | undefined {
  const name = path.basename(file);
  if (/dockerfile/i.test(name)) return 'dockerfile';
  if (name === 'azureml_environment.json') return 'azure';
  if (name === 'pyproject.toml') return 'project';
  if (/^(environment|conda_dependencies|conda)[\w.-]*\.ya?ml$/i.test(name)) return 'conda';
  if (/requirements.*\.(txt|in|pip)$/i.test(name)) return 'pip';
  return undefined;
}

/** Whether it only asks for packages: then one may choose where they go. */
export function asksForPackages(kind: EnvironmentFileKind | undefined): boolean {
  return kind === 'pip' || kind === 'conda' || kind === 'project';
}

const glyphs: Record<EnvironmentFileKind, string> = {
  pip: '$(list-unordered)',
  conda: '$(layers)',
  project: '$(file-code)',
  dockerfile: '$(tools)',
  azure: '$(json)',
};

export function fileGlyph(file: string): string {
  const kind = fileKindOf(file);
  return kind ? glyphs[kind] : '$(file)';
}

/** Such files directly in a folder, by name: what a run of the folder can use. */
export async function filesIn(folder: vscode.Uri): Promise<string[]> {
  const entries = await vscode.workspace.fs.readDirectory(folder).then(undefined, () => []);
  return entries
    .filter(([name, type]) => type & vscode.FileType.File && fileKindOf(name) !== undefined)
    .map(([name]) => name)
    .sort();
}

const pattern =
  '**/{*requirements*.txt,environment*.yml,environment*.yaml,conda_dependencies.yml,pyproject.toml,*Dockerfile*,*.dockerfile,azureml_environment.json}';
const never = '**/{node_modules,.venv,venv,.git,site-packages,.tox,__pycache__}/**';

/** Such files anywhere in the opened folders, those nearest to a root first. */
export async function filesOfWindow(most = 100): Promise<vscode.Uri[]> {
  const found = await vscode.workspace.findFiles(pattern, never, most);
  const depth = (uri: vscode.Uri) => uri.path.split('/').length;
  return found
    .filter((uri) => uri.scheme === 'file' && fileKindOf(uri.fsPath) !== undefined)
    .sort((a, b) => depth(a) - depth(b) || a.path.localeCompare(b.path));
}
