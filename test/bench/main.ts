import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { dist, repository } from '../support/home.ts';
import { benchActivation } from './activation.ts';
import { benchEnvironments } from './environments.ts';
import type { Figure } from './measure.ts';
import { benchIngest, benchMemory, benchSubmit } from './server.ts';
import { benchSnapshot } from './snapshot.ts';
import { benchSsh } from './ssh.ts';
import { benchWindows } from './windows.ts';

// `npm run bench [NAME...]`: measures, prints, and (when everything was measured) writes docs/performance.md.
const parts: Record<string, () => Promise<Figure[]> | Figure[]> = {
  ingest: benchIngest,
  windows: benchWindows,
  submit: benchSubmit,
  memory: benchMemory,
  snapshot: benchSnapshot,
  ssh: benchSsh,
  environments: benchEnvironments,
  activation: benchActivation,
  size: benchSize,
};

function benchSize(): Figure[] {
  const vsix = path.join(dist, 'runyard.vsix');
  if (!existsSync(vsix)) execFileSync('npm', ['run', '-s', 'package'], { cwd: repository, stdio: 'inherit' });
  const megabytes = statSync(vsix).size / 1e6;
  return [
    {
      what: 'VSIX',
      measured: `${megabytes.toFixed(2)} MB`,
      reference: '',
      limit: 'at most 3 MB',
      reached: megabytes <= 3,
    },
  ];
}

const wanted = process.argv.slice(2);
const figures: Figure[] = [];
for (const [name, bench] of Object.entries(parts)) {
  if (wanted.length > 0 && !wanted.includes(name)) continue;
  console.log(`- ${name}`);
  for (const figure of await bench()) {
    figures.push(figure);
    console.log(
      `  ${figure.reached ? ' ' : '!'} ${figure.what}: ${figure.measured} (${figure.limit}) ${figure.reference}`,
    );
  }
}
if (wanted.length === 0) {
  const page = path.join(repository, 'docs/performance.md');
  const start = existsSync(page)
    ? readFileSync(page, 'utf8').split('<!-- figures -->')[0]!
    : '# Performance\n\n';
  const rows = figures.map(
    ({ what, measured, reference, limit, reached }) =>
      `| ${what} | ${measured} | ${reference} | ${limit} | ${reached ? 'yes' : 'no'} |`,
  );
  const machine = `${os.cpus().length} cores (${os.cpus()[0]?.model ?? ''}), Node ${process.versions.node}, ${new Date().toISOString().slice(0, 10)}`;
  writeFileSync(
    page,
    `${start}<!-- figures -->\n\nMade by \`npm run bench\` on ${machine}.\n\n| what | measured | reference in the same run | limit | reached |\n| --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`,
  );
}
