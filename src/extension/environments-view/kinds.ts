import * as vscode from 'vscode';
import type { EnvironmentDefinition, EnvironmentKind } from '../../api/environment.ts';

/** What an environment is as a shape (codicon) and a colour: the shape alone tells it too. */
const icons: Record<EnvironmentKind, [icon: string, color: string]> = {
  system: ['device-desktop', 'charts.foreground'],
  interpreter: ['symbol-misc', 'charts.foreground'],
  'conda-environment': ['symbol-namespace', 'charts.green'],
  venv: ['package', 'charts.yellow'],
  conda: ['layers', 'charts.green'],
  image: ['vm', 'charts.blue'],
  dockerfile: ['tools', 'charts.blue'],
};

export function kindIcon(kind: EnvironmentKind): vscode.ThemeIcon {
  const [icon, color] = icons[kind];
  return new vscode.ThemeIcon(icon, new vscode.ThemeColor(color));
}

/** The icon in the label of a quick pick. */
export function kindGlyph(kind: EnvironmentKind): string {
  return `$(${icons[kind][0]})`;
}

/** The kind as a word for people. */
export function kindWord(kind: EnvironmentKind): string {
  switch (kind) {
    case 'system':
      return vscode.l10n.t("the host's own Python");
    case 'interpreter':
      return vscode.l10n.t('an interpreter that is there');
    case 'conda-environment':
      return vscode.l10n.t('a conda environment that is there');
    case 'venv':
      return vscode.l10n.t('pip packages in a venv');
    case 'conda':
      return vscode.l10n.t('packages in a conda environment');
    case 'image':
      return vscode.l10n.t('a container image');
    case 'dockerfile':
      return vscode.l10n.t('an image that a Dockerfile builds');
  }
}

/** Whether a run in it is a container. */
export function isContainer(definition: EnvironmentDefinition): boolean {
  return definition.image !== null || definition.dockerfile !== null;
}

/** Whether something has to be built before a run can use it. */
export function isBuilt(definition: EnvironmentDefinition): boolean {
  const { dockerfile, requirements, condaSpecification } = definition;
  return dockerfile !== null || requirements !== null || condaSpecification !== null;
}
