import { RunyardError } from '../api/errors.ts';
import type { PreviewSnapshotRequest } from '../api/requests.ts';
import type { Context } from './context.ts';
import { untilInterrupted } from './interrupt.ts';
import { counted, formatBytes } from './output.ts';

const mostFolders = 3;

/**
 * Says on standard error what a person should know about what would be sent. Throws `bad_request` for what
 * cannot be taken: nothing has been written then.
 */
export async function lookBefore(context: Context, body: PreviewSnapshotRequest): Promise<void> {
  const found = await untilInterrupted((signal) => context.client.call('previewSnapshot', { body, signal }));
  const refused = found.concerns.find(({ kind }) => kind === 'refused');
  if (refused) {
    const { message, action } = refused;
    throw new RunyardError('bad_request', message, action ? { action } : {});
  }
  const warn = (text: string) => process.stderr.write(`warning: ${text}\n`);
  for (const { message } of found.concerns) warn(message);
  if (!found.large) return;
  const folders = found.heaviest.filter((one) => one.folder && one.path !== '');
  const weightOf = (one: { files: number; bytes: number }) =>
    `${counted(one.files, 'file')}, ${formatBytes(one.bytes)}`;
  const heaviest = folders.slice(0, mostFolders).map((one) => `${one.path} (${weightOf(one)})`);
  const most = heaviest.length > 0 ? `; the heaviest: ${heaviest.join(', ')}` : '';
  warn(`${weightOf(found)} are sent${most}. ${found.ignoreFile} leaves files out.`);
}
