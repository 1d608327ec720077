import { createStore } from 'zustand/vanilla';

export type LinkState =
  | 'connecting'
  | 'catching-up'
  | 'live'
  | 'reconnecting'
  | 'offline'
  | 'signed-out'
  | 'replaced';

export interface Connection {
  state: LinkState;
  /** Server time (or local, before it is known) at which this state began. */
  since: number;
  /** When the last frame came, before the connection was lost. */
  lastFrameAt: number | null;
  attempt: number;
  nextAttemptAt: number | null;
  sessions: number | null;
  /** What the edge says does not work as it should: its channels, and `rate`. */
  degraded: readonly string[];
  offsetMs: number | null;
  reason: string | null;
}

export const connection = createStore<Connection>(() => ({
  state: 'connecting',
  since: Date.now(),
  lastFrameAt: null,
  attempt: 0,
  nextAttemptAt: null,
  sessions: null,
  degraded: [],
  offsetMs: null,
  reason: null,
}));

/** Dealing needs live prices; this is the one place that says whether we have them. */
export const isLinked = (state: LinkState): boolean => state === 'live';
