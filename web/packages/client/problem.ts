/** Every failed call ends as one of these, whatever went wrong. */
export type FailureKind = 'problem' | 'network' | 'timeout';

export interface FieldProblem {
  field: string;
  code: string;
  message: string;
}

export interface ProblemBody {
  type?: string;
  title?: string;
  status?: number;
  detail?: string | null;
  code?: string;
  correlationId?: string | null;
  requestId?: string | null;
  errors?: FieldProblem[];
  [key: string]: unknown;
}

export class ApiError extends Error {
  readonly kind: FailureKind;
  readonly status: number;
  readonly body: ProblemBody;

  constructor(kind: FailureKind, status: number, body: ProblemBody) {
    super(body.detail || body.title || 'The call failed');
    this.name = 'ApiError';
    this.kind = kind;
    this.status = status;
    this.body = body;
  }

  get code(): string {
    return this.body.code ?? (this.kind === 'problem' ? `HTTP-${this.status}` : '');
  }

  /** The id that finds this call in the logs. */
  get traceId(): string | null {
    return this.body.correlationId ?? this.body.requestId ?? null;
  }

  get signedOut(): boolean {
    return this.status === 401;
  }

  /**
   * True when the command may or may not have been carried out: no answer came, or the answer
   * came from something in between. The same request with the same key then tells.
   */
  get outcomeUnknown(): boolean {
    if (this.kind !== 'problem') return true;
    return this.status >= 500 || this.code === 'API-103';
  }
}

export const asApiError = (error: unknown): ApiError =>
  error instanceof ApiError
    ? error
    : new ApiError('network', 0, { title: 'The call could not be made', detail: String(error) });
