// Writes the parts of docs/ that come from the code.
import { readFile, writeFile } from 'node:fs/promises';
import { openApiDocument } from '../src/api/openapi.ts';

const { version } = JSON.parse(await readFile(new URL('../package.json', import.meta.url), 'utf8'));
const file = new URL('../docs/openapi.json', import.meta.url);
await writeFile(file, `${JSON.stringify(openApiDocument(version), null, 1)}\n`);
