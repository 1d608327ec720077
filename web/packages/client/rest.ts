import type {
  AuditItem,
  Bar,
  CreateRfq,
  Dealer,
  Instrument,
  Me,
  Page,
  Preferences,
  Rfq,
  RfqRow,
  Tick,
  Trade,
  Watchlist,
} from '@model/types';
import { ApiError, type ProblemBody } from './problem';

const BASE = '/api/v1';
const READ_TIMEOUT_MS = 10_000;
const COMMAND_TIMEOUT_MS = 8_000;

type Method = 'GET' | 'POST' | 'PUT' | 'DELETE';
export type Query = Record<string, string | number | readonly string[] | null | undefined>;

interface CallOptions {
  query?: Query;
  body?: unknown;
  key?: string;
  signal?: AbortSignal;
}

let onSignedOut: () => void = () => {};
/** Who is told when the server says that the session is over. */
export function whenSignedOut(listener: () => void): void {
  onSignedOut = listener;
}

/** One per act of the user; a resend of the same act uses the same key. */
export const newKey = (): string => crypto.randomUUID();

function search(query: Query | undefined): string {
  const params = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value === null || value === undefined || value === '') continue;
    if (typeof value === 'object') for (const one of value) params.append(name, one);
    else params.append(name, String(value));
  }
  const text = params.toString();
  return text ? `?${text}` : '';
}

async function problemOf(response: Response): Promise<ApiError> {
  let body: ProblemBody = {};
  try {
    body = (await response.json()) as ProblemBody;
  } catch {
    body = { title: `The server answered ${response.status} without saying why` };
  }
  return new ApiError('problem', response.status, body);
}

async function call<T>(method: Method, path: string, options: CallOptions = {}): Promise<T> {
  const timeout = AbortSignal.timeout(method === 'GET' ? READ_TIMEOUT_MS : COMMAND_TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const headers: Record<string, string> = { accept: 'application/json' };
  if (options.body !== undefined) headers['content-type'] = 'application/json';
  if (method !== 'GET') headers['idempotency-key'] = options.key ?? newKey();
  let response: Response;
  try {
    response = await fetch(`${BASE}${path}${search(options.query)}`, {
      method,
      headers,
      signal,
      credentials: 'same-origin',
      cache: 'no-store',
      ...(options.body === undefined ? {} : { body: JSON.stringify(options.body) }),
    });
  } catch (error) {
    if (options.signal?.aborted) throw error;
    if (timeout.aborted) throw new ApiError('timeout', 0, { title: 'No answer came in time' });
    throw new ApiError('network', 0, { title: 'The server cannot be reached' });
  }
  if (!response.ok) {
    const failure = await problemOf(response);
    if (failure.signedOut) onSignedOut();
    throw failure;
  }
  if (response.status === 204) return undefined as T;
  return (await response.json()) as T;
}

const id = encodeURIComponent;
type Items<T> = { items: T[]; asOf?: string };

export const api = {
  me: () => call<Me>('GET', '/me'),
  instruments: () => call<Items<Instrument>>('GET', '/instruments'),
  snapshot: (instrumentIds: readonly string[]) =>
    call<Items<Tick>>('GET', '/market/snapshot', { query: { instrumentId: instrumentIds } }),
  history: (instrumentId: string, minutes: number, signal?: AbortSignal) =>
    call<Items<Bar>>('GET', '/market/history', {
      query: { instrumentId, minutes },
      ...(signal ? { signal } : {}),
    }),
  dealers: () => call<Items<Dealer>>('GET', '/dealers'),
  createRfq: (body: CreateRfq, key: string) => call<Rfq>('POST', '/rfqs', { body, key }),
  rfqs: (query: Query) => call<Page<RfqRow>>('GET', '/rfqs', { query }),
  rfq: (rfqId: string) => call<Rfq>('GET', `/rfqs/${id(rfqId)}`),
  accept: (
    rfqId: string,
    body: { quoteId: string; version: number; reason?: string },
    key: string,
  ) => call<Rfq>('POST', `/rfqs/${id(rfqId)}/accept`, { body, key }),
  cancel: (rfqId: string, key: string) =>
    call<Rfq>('POST', `/rfqs/${id(rfqId)}/cancel`, { body: {}, key }),
  trades: (query: Query) => call<Page<Trade>>('GET', '/trades', { query }),
  audit: (correlationId: string) => call<Items<AuditItem>>('GET', `/audit/${id(correlationId)}`),
  markRead: (notificationIds: string[]) =>
    call<{ marked: number }>('POST', '/notifications/read', { body: { notificationIds } }),
  preferences: () => call<Preferences>('GET', '/preferences'),
  savePreferences: (body: Preferences) => call<Preferences>('PUT', '/preferences', { body }),
  watchlists: () => call<Items<Watchlist>>('GET', '/watchlists'),
  createWatchlist: (body: Pick<Watchlist, 'name' | 'instrumentIds' | 'pinned'>) =>
    call<Watchlist>('POST', '/watchlists', { body }),
  saveWatchlist: (list: Watchlist) =>
    call<Watchlist>('PUT', `/watchlists/${id(list.watchlistId)}`, {
      body: {
        name: list.name,
        instrumentIds: list.instrumentIds,
        pinned: list.pinned,
        position: list.position,
        version: list.version,
      },
    }),
  deleteWatchlist: (watchlistId: string) => call<void>('DELETE', `/watchlists/${id(watchlistId)}`),
};

/** Ends the session at the server, then goes where it says. */
export async function signOut(): Promise<void> {
  const response = await fetch('/auth/logout', { method: 'POST', credentials: 'same-origin' });
  const body = response.ok ? ((await response.json()) as { logoutUrl?: string }) : {};
  window.location.assign(body.logoutUrl ?? '/auth/login?returnTo=%2F');
}

export function goToSignIn(): void {
  const here = window.location.pathname + window.location.search;
  window.location.assign(`/auth/login?returnTo=${encodeURIComponent(here)}`);
}
