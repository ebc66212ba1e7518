/** What went wrong, as a word that programs may test for. Each has one HTTP status. */
export const errorStatus = {
  bad_request: 400,
  not_permitted: 403,
  not_found: 404,
  conflict: 409,
  canceled: 409,
  too_large: 413,
  unavailable: 503,
  no_space: 507,
  internal: 500,
} as const;

export type ErrorCode = keyof typeof errorStatus;

/** The body of every answer that is not a success. */
export interface ErrorBody {
  code: ErrorCode;
  /** A sentence for a person: what happened, to what. */
  message: string;
  /** What the person can do about it. */
  action?: string;
}

/**
 * The one error type of Runyard. `message` is shown to a person as it is; the `cause` goes to the log only.
 */
export class RunyardError extends Error {
  readonly code: ErrorCode;
  readonly action: string | undefined;

  constructor(code: ErrorCode, message: string, options: { action?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'RunyardError';
    this.code = code;
    this.action = options.action;
  }

  /** The error as it crosses the wire; the cause stays behind. */
  toBody(): ErrorBody {
    return { code: this.code, message: this.message, ...(this.action ? { action: this.action } : {}) };
  }

  static fromBody(body: ErrorBody): RunyardError {
    return new RunyardError(body.code, body.message, body.action ? { action: body.action } : {});
  }
}

/** Node's own error code (`ENOENT`, `ENOSPC`, ...) of a caught value, if it has one. */
export function systemErrorCode(error: unknown): string | undefined {
  const code = (error as NodeJS.ErrnoException | undefined)?.code;
  return typeof code === 'string' ? code : undefined;
}
