import { t } from '../../shared/l10n.ts';
import { ask } from '../bridge.ts';

const largestImage = 16 * 1024 * 1024;
const types: Record<string, string> = {
  png: 'image/png',
  jpg: 'image/jpeg',
  jpeg: 'image/jpeg',
  gif: 'image/gif',
  webp: 'image/webp',
  svg: 'image/svg+xml',
  bmp: 'image/bmp',
};

/** An image of the run, fetched when it comes into sight. */
class RunImageElement extends HTMLElement {
  path = '';
  label = '';
  private url = '';
  private loadedPath = '';
  private readonly observer = new IntersectionObserver((entries) => {
    if (entries.some((entry) => entry.isIntersecting)) void this.load();
  });

  connectedCallback(): void {
    this.observer.observe(this);
  }

  disconnectedCallback(): void {
    this.observer.disconnect();
    URL.revokeObjectURL(this.url);
    this.loadedPath = '';
  }

  private async load(): Promise<void> {
    if (this.loadedPath === this.path) return;
    this.loadedPath = this.path;
    try {
      const { data, size } = await ask('read', { path: this.path, offset: 0, length: largestImage });
      if (size > largestImage)
        throw new Error(t('The image is too big to be shown here; open it from Files.'));
      const type = types[this.path.split('.').at(-1)?.toLowerCase() ?? ''] ?? 'image/png';
      URL.revokeObjectURL(this.url);
      this.url = URL.createObjectURL(new Blob([new Uint8Array(data)], { type }));
      const image = document.createElement('img');
      image.alt = this.label;
      image.src = this.url;
      this.replaceChildren(image);
    } catch (error) {
      this.textContent = (error as Error).message;
    }
  }
}

customElements.define('ry-image', RunImageElement);
