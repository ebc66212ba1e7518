import js from '@eslint/js';
import ts from 'typescript-eslint';

/**
 * The house (see docs/architecture.md): an import goes to a lower row only; rooms of one row never
 * import each other. Everything below is generated from this table.
 */
const rows = [
  ['extension', 'cli'],
  ['client'],
  ['server'],
  ['sweeps', 'pipelines', 'endpoints'],
  ['runs', 'models', 'data', 'environments'],
  ['compute', 'snapshot', 'store'],
  ['api', 'protocol'],
];

/** The faces speak to the server through the client alone; they do not reach into its rooms. */
const facesMayUse = new Set(['client', 'api', 'protocol']);

const layering = rows.flatMap((row, level) =>
  row.map((room) => {
    const below = rows.slice(level + 1).flat();
    const allowed = new Set(level <= 1 ? below.filter((name) => facesMayUse.has(name)) : below);
    const forbidden = rows.flat().filter((name) => name !== room && !allowed.has(name));
    return {
      files: [`src/${room}/**/*.ts`],
      rules: {
        'no-restricted-imports': [
          'error',
          {
            patterns: [
              {
                group: forbidden.map((name) => `**/${name}/**`),
                message: `src/${room} may import only: ${[...allowed].join(', ') || 'nothing of ours'}.`,
              },
              ...(room === 'extension'
                ? []
                : [{ group: ['vscode'], message: 'Only src/extension imports vscode.' }]),
              {
                // The messages between a page and the extension are types that both share.
                group: ['**/webview/**/*.ts', '!**/webview/*/contract.ts'],
                message: 'Browser code stays in webview/.',
              },
            ],
          },
        ],
      },
    };
  }),
);

export default ts.config(
  { ignores: ['dist/', 'out/', '.vscode-test/', 'node_modules/', 'test/fixtures/'] },
  js.configs.recommended,
  ...ts.configs.recommended,
  {
    rules: {
      '@typescript-eslint/no-unused-vars': [
        'error',
        { argsIgnorePattern: '^_', varsIgnorePattern: '^_', caughtErrors: 'none' },
      ],
      '@typescript-eslint/consistent-type-imports': 'error',
      eqeqeq: ['error', 'smart'],
      'no-console': ['error', { allow: ['error', 'warn'] }],
    },
  },
  ...layering,
  {
    files: ['src/cli/**', 'scripts/**', 'test/**'],
    rules: { 'no-console': 'off' },
    languageOptions: {
      globals: { process: 'readonly', console: 'readonly', URL: 'readonly', Buffer: 'readonly' },
    },
  },
  {
    files: ['webview/**/*.ts'],
    rules: {
      'no-restricted-imports': 'off',
      '@typescript-eslint/no-restricted-imports': [
        'error',
        {
          paths: [
            {
              name: '@vscode/webview-ui-toolkit',
              message: 'Its upstream is archived: only webview/toolkit.ts imports it.',
            },
          ],
          patterns: [
            { group: ['**/src/*', '!**/src/api'], message: 'Webviews import types of src/api only.' },
            { group: ['**/src/**'], allowTypeImports: true, message: 'Webviews import types only.' },
          ],
        },
      ],
    },
  },
  { files: ['webview/toolkit.ts'], rules: { '@typescript-eslint/no-restricted-imports': 'off' } },
);
