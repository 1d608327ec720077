import { ageText, millis } from './time';
import type { Instrument, Tick } from './types';

export type Freshness = 'none' | 'fresh' | 'amber' | 'red';

export interface Age {
  state: Freshness;
  ms: number | null;
  text: string;
}

type Limits = Pick<Instrument, 'staleAmberMs' | 'staleRedMs'>;

/** The newest sign of life of this symbol: its last tick or its own feed's heartbeat. */
export function lifeAt(tick: Pick<Tick, 'receivedAt' | 'heartbeatAt'> | undefined): number | null {
  if (!tick) return null;
  const received = millis(tick.receivedAt);
  const beat = millis(tick.heartbeatAt);
  return received === null ? beat : beat === null ? received : Math.max(received, beat);
}

/** `now` is server time. A server that says STALE outranks our own arithmetic. */
export function ageOf(tick: Tick | undefined, limits: Limits, now: number, saidStale = false): Age {
  const at = lifeAt(tick);
  if (at === null) return { state: 'none', ms: null, text: '–' };
  const ms = Math.max(0, now - at);
  const red = saidStale || ms >= limits.staleRedMs;
  const state = red ? 'red' : ms >= limits.staleAmberMs ? 'amber' : 'fresh';
  return { state, ms, text: ageText(ms) };
}
