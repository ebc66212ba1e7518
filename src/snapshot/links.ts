import { binaryOf } from './path-text.ts';

/** As many links in a row as Linux follows. */
const mostLinks = 40;

/**
 * Where the links of a tree lead to, with those followed that lie on the way: `a -> b/..` is somewhere else than
 * its words say when `b` is a link itself. Names are binary (see path-text.ts).
 */
export class LinkTree {
  private readonly targets = new Map<string, string>();

  /** `path` and `target` as a manifest has them. */
  add(path: string, target: string): void {
    this.targets.set(binaryOf(path), binaryOf(target));
  }

  get paths(): Iterable<string> {
    return this.targets.keys();
  }

  /** Whether following the link leaves the tree. A circle leads nowhere, hence not outside. */
  leadsOutside(link: string): boolean {
    const place = link.split('/').slice(0, -1);
    return this.walk(place, this.targets.get(link) ?? '', { left: mostLinks }) === 'outside';
  }

  private walk(from: string[], target: string, links: { left: number }): string[] | 'outside' | 'nowhere' {
    if (target === '' || target.startsWith('/')) return 'outside';
    let at = from;
    for (const part of target.split('/')) {
      if (part === '' || part === '.') continue;
      if (part === '..') {
        if (at.length === 0) return 'outside';
        at = at.slice(0, -1);
        continue;
      }
      const next = [...at, part];
      const through = this.targets.get(next.join('/'));
      if (through === undefined) {
        at = next;
        continue;
      }
      if (links.left-- === 0) return 'nowhere';
      const there = this.walk(at, through, links);
      if (typeof there === 'string') return there;
      at = there;
    }
    return at;
  }
}
