import * as vscode from 'vscode';
import type { EnvironmentDefinition } from '../../api/environment.ts';
import type { Connection } from '../connection.ts';
import type { EnvironmentRef } from './reference.ts';

/** Definitions open as `runyard-environment:/<workspace>/<name>:<version>.yml`, to be read. */
export const definitionScheme = 'runyard-environment';

/** The document of an environment's definition, or of what a run had. */
export function definitionUri(of: EnvironmentRef | { workspace: string; run: string }): vscode.Uri {
  const name = 'run' in of ? `run/${of.run}` : `environment/${of.environment}`;
  return vscode.Uri.from({ scheme: definitionScheme, path: `/${of.workspace}/${name}.yml` });
}

/** Opens a definition as a read-only document. */
export async function showDefinition(of: EnvironmentRef | { workspace: string; run: string }): Promise<void> {
  const document = await vscode.workspace.openTextDocument(definitionUri(of));
  await vscode.window.showTextDocument(document, { preview: true });
}

/** Gives the texts of such documents. A version never changes, so a document does not either. */
export class DefinitionDocuments implements vscode.TextDocumentContentProvider {
  private readonly connection: Connection;

  constructor(connection: Connection) {
    this.connection = connection;
  }

  async provideTextDocumentContent(uri: vscode.Uri): Promise<string> {
    const found = /^\/([^/]+)\/(environment|run)\/(.+)\.yml$/.exec(uri.path);
    if (!found) throw vscode.FileSystemError.FileNotFound(uri);
    const [, workspace, what, name] = found as unknown as [string, string, string, string];
    const client = await this.connection.client();
    if (what === 'run') {
      const { label, definition } = await client.call('getRunEnvironment', {
        params: { workspace, run: name },
      });
      return `${comment(label)}\n${definition ? definitionText(definition) : '{}\n'}`;
    }
    const environment = await client.call('getEnvironment', { params: { workspace, environment: name } });
    const { summary, hash, createdAt, definition } = environment;
    const head = [
      `${environment.name}:${environment.version} (${summary})`,
      vscode.l10n.t('Registered {0}', new Date(createdAt).toLocaleString()),
      `sha256 ${hash}`,
    ];
    return `${head.map(comment).join('\n')}\n\n${definitionText(definition)}`;
  }
}

function comment(line: string): string {
  return `# ${line.replaceAll('\n', ' ')}`;
}

/** A definition as YAML; what it does not say is left out, texts stand as they are. */
export function definitionText(definition: EnvironmentDefinition): string {
  const { into, variables, condaSpecification, ...rest } = definition;
  const lines: string[] = [];
  for (const [key, value] of Object.entries(rest)) if (value !== null) lines.push(...entry(key, value));
  if (condaSpecification) {
    lines.push('condaSpecification:');
    for (const [key, list] of Object.entries(condaSpecification)) {
      if (list.length === 0) continue;
      lines.push(`  ${key}:`, ...list.map((one) => `    - ${scalar(one)}`));
    }
  }
  if (into !== 'auto') lines.push(...entry('into', into));
  const names = Object.entries(variables);
  if (names.length > 0) lines.push('variables:');
  for (const [name, value] of names) lines.push(`  ${scalar(name)}: ${JSON.stringify(value)}`);
  return lines.length === 0 ? '{}\n' : `${lines.join('\n')}\n`;
}

function entry(key: string, value: string): string[] {
  if (!value.includes('\n')) return [`${key}: ${scalar(value)}`];
  // A block cannot begin with a space or hold control characters: then it is written as one line.
  // eslint-disable-next-line no-control-regex
  if (/^\s|[\0-\x08\x0b-\x1f\x7f]/.test(value)) return [`${key}: ${JSON.stringify(value)}`];
  const keep = value.endsWith('\n\n') ? '+' : value.endsWith('\n') ? '' : '-';
  const body = value.replace(/\n+$/, '').split('\n');
  return [`${key}: |${keep}`, ...body.map((line) => (line ? `  ${line}` : ''))];
}

function scalar(value: string): string {
  const plain =
    /^[\w./][\w./:@=<>+ -]*$/.test(value) &&
    !/: |:$| #|^(true|false|null|yes|no|on|off|[\d.]+)$/i.test(value);
  return plain ? value : JSON.stringify(value);
}
