import { RunyardError, type ErrorCode } from '../api/errors.ts';
import { plainText } from './plain-text.ts';

/**
 * Why a host cannot be used now. `unreachable` is tried again by itself; `attention` needs a person first
 * (a password, a changed host key, a missing python3), so nothing is tried or asked again until one acts.
 */
export class HostProblem extends RunyardError {
  readonly kind: 'unreachable' | 'attention';
  /** Under which a face may keep the secret that is missing. */
  readonly secretKey: string | null;

  constructor(
    kind: 'unreachable' | 'attention',
    message: string,
    options: { action?: string; cause?: unknown; code?: ErrorCode; secretKey?: string | null } = {},
  ) {
    super(
      options.code ?? (kind === 'attention' ? 'not_permitted' : 'unavailable'),
      plainText(message),
      options,
    );
    this.kind = kind;
    this.secretKey = options.secretKey ?? null;
  }
}

/** Any error as a problem of the host; what is not known is taken for a passing one. */
export function problemOf(name: string, error: unknown): HostProblem {
  if (error instanceof HostProblem) return error;
  if (error instanceof RunyardError) {
    const action = error.action === undefined ? {} : { action: error.action };
    return new HostProblem('unreachable', error.message, { ...action, code: error.code, cause: error });
  }
  return new HostProblem('unreachable', `${name} cannot be used: ${(error as Error).message}`, {
    cause: error,
  });
}
