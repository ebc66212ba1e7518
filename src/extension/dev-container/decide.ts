/** Where this extension host runs, as far as it counts here. */
export interface Surroundings {
  env: Record<string, string | undefined>;
  /** `vscode.env.remoteName`. */
  remoteName: string | undefined;
  /** `/.dockerenv` is there. A hint only: many a container is somebody's lasting machine. */
  dockerenv: boolean;
  /** Runyard's home, and its first part that is there already. */
  home: string;
  existing: string;
  /** Device numbers of that and of `/`. */
  homeDevice: number;
  rootDevice: number;
  /** `/proc/self/mountinfo`. */
  mountinfo: string;
}

export type LostHome = 'dev-container' | 'codespaces';

/** Whether the home goes with the container when that is built again, and of what kind the container is. */
export function lostHome(surroundings: Surroundings): LostHome | undefined {
  const kind = containerKind(surroundings);
  if (!kind) return undefined;
  const { existing, homeDevice, rootDevice, mountinfo } = surroundings;
  // A volume or a folder of the machine outside: another device, or a mount of its own on the same one.
  if (homeDevice !== rootDevice || mountOf(existing, mountinfo) !== '/') return undefined;
  return kind;
}

function containerKind({ env, remoteName, dockerenv }: Surroundings): LostHome | undefined {
  if (env['CODESPACES'] === 'true' || remoteName === 'codespaces') return 'codespaces';
  if (env['REMOTE_CONTAINERS'] === 'true' || remoteName === 'dev-container') return 'dev-container';
  // "Attach to a running container" sets nothing but the remote's name, and another one.
  return remoteName === 'attached-container' && dockerenv ? 'dev-container' : undefined;
}

/** The mount point that a path is below; the last one of those that cover the same counts. */
export function mountOf(path: string, mountinfo: string): string {
  let best = '/';
  for (const line of mountinfo.split('\n')) {
    const point = line.split(' ')[4]?.replace(/\\([0-7]{3})/g, (_, octal: string) => {
      return String.fromCharCode(parseInt(octal, 8));
    });
    if (!point) continue;
    const covers = point === '/' || path === point || path.startsWith(`${point}/`);
    if (covers && point.length >= best.length) best = point;
  }
  return best;
}

/** The line for devcontainer.json that keeps the home over a rebuild. */
export function mountLine(home: string): string {
  return `"mounts": [${JSON.stringify(`source=runyard-home,target=${home},type=volume`)}]`;
}
