import * as vscode from 'vscode';
import type { Concern, SnapshotPreview } from '../../../api/entities.ts';
import type { PreviewSnapshotRequest } from '../../../api/requests.ts';
import type { Client } from '../../../client/client.ts';
import { RemedyError } from '../../errors.ts';
import type { AcceptedConcerns } from './accepted.ts';
import { askAboutConcerns, askAboutRefusals } from './concerns.ts';
import { settleLarge } from './heaviest.ts';
import { preview } from './preview.ts';

/** What a folder's submit would send, with what a person has decided about it so far. */
export class BeforeSubmit {
  private readonly client: Client;
  private readonly accepted: AcceptedConcerns;
  private readonly request: PreviewSnapshotRequest;
  private readonly folderName: string;
  /** Paths that were ignored already: one that is still refused is not tried a second time. */
  private readonly ignored = new Set<string>();

  constructor(
    client: Client,
    accepted: AcceptedConcerns,
    request: PreviewSnapshotRequest,
    folderName: string,
  ) {
    this.client = client;
    this.accepted = accepted;
    this.request = request;
    this.folderName = folderName;
  }

  /** Looks at the folder and asks about what a person should know. False: it is not to be submitted. */
  async settle(): Promise<boolean> {
    let now: SnapshotPreview | undefined = await this.look();
    let sizeSettled = false;
    for (;;) {
      const refused = now.concerns.filter((concern) => concern.kind === 'refused');
      if (refused.length > 0) {
        if ((await askAboutRefusals(refused)) !== 'leaveOut') return false;
        await this.ignore(refused);
        now = await this.look();
        continue;
      }
      if (now.large && !sizeSettled) {
        now = await this.settleSize(now);
        if (!now) return false;
        sizeSettled = true;
        // What was ignored may have been what the other concerns were about, or what hindered.
        continue;
      }
      const { concerns } = now;
      if (concerns.length === 0 || this.accepted.has(this.request.folder, concerns)) return true;
      const decision = await askAboutConcerns(concerns);
      if (decision === 'stop') return false;
      if (decision === 'submit') {
        await this.accepted.add(this.request.folder, concerns);
        return true;
      }
      await this.ignore(concerns.filter((concern) => concern.kind === 'secret'));
      now = await this.look();
    }
  }

  private look(): Promise<SnapshotPreview> {
    return preview(this.client, this.request);
  }

  private settleSize(now: SnapshotPreview): Promise<SnapshotPreview | undefined> {
    return settleLarge({
      folderName: this.folderName,
      preview: now,
      ignore: async (path) => {
        await this.ignorePath(path);
        return this.look();
      },
    });
  }

  private async ignore(concerns: readonly Concern[]): Promise<void> {
    for (const { path, message, action } of concerns) {
      if (this.ignored.has(path)) {
        const text = vscode.l10n.t('"{0}" was ignored, and is taken all the same.', path);
        throw new RemedyError([text, message, action].filter(Boolean).join(' '), []);
      }
      this.ignored.add(path);
      await this.ignorePath(path);
    }
  }

  private async ignorePath(path: string): Promise<void> {
    const body = { folder: this.request.folder, path };
    await this.client.call('ignorePath', { body });
  }
}
