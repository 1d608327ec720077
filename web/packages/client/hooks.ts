import { type Age, ageOf } from '@model/freshness';
import type { Instrument, Tick } from '@model/types';
import { useCallback, useRef, useSyncExternalStore } from 'react';
import { useStore } from 'zustand';
import { serverClock } from './clock';
import { type Connection, connection } from './connection';
import { type Live, market } from './market';

/** One timer for everything that ages or counts down, however many rows there are. */
class Ticker {
  private readonly listeners = new Set<() => void>();
  private timer = 0;
  constructor(private readonly everyMs: number) {}

  subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    if (this.timer === 0) this.timer = window.setInterval(this.beat, this.everyMs);
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size > 0) return;
      window.clearInterval(this.timer);
      this.timer = 0;
    };
  };

  private readonly beat = () => {
    for (const listener of [...this.listeners]) listener();
  };
}

const fast = new Ticker(100);
const slow = new Ticker(500);

/** Re-renders only when the derived value changes (compare by ===: derive text or numbers). */
export function useTicking<T extends string | number | boolean | null>(
  derive: (serverNow: number) => T,
  pace: 'fast' | 'slow' = 'slow',
): T {
  const latest = useRef(derive);
  latest.current = derive;
  const read = useCallback(() => latest.current(serverClock.now()), []);
  return useSyncExternalStore((pace === 'fast' ? fast : slow).subscribe, read);
}

/** Server time rounded down to the pace, for components that need the number itself. */
export const useServerNow = (pace: 'fast' | 'slow'): number => {
  const step = pace === 'fast' ? 100 : 500;
  return useTicking((now) => Math.floor(now / step) * step, pace);
};

export function useLive(instrumentId: string): Live | undefined {
  const subscribe = useCallback(
    (l: () => void) => market.subscribe(instrumentId, l),
    [instrumentId],
  );
  return useSyncExternalStore(subscribe, () => market.get(instrumentId));
}

type Limits = Pick<Instrument, 'instrumentId' | 'staleAmberMs' | 'staleRedMs'>;

export const currentAge = (of: Limits, tick: Tick | undefined, now: number): Age =>
  ageOf(tick, of, now, market.isStale(of.instrumentId));

/** The age of an instrument's price as `state|text`, so that equal ages do not re-render. */
export function useAge(of: Limits): Pick<Age, 'state' | 'text'> {
  const packed = useTicking((now) => {
    const age = currentAge(of, market.get(of.instrumentId)?.tick, now);
    return `${age.state}|${age.text}`;
  });
  const [state = 'none', text = '–'] = packed.split('|') as [Age['state'], string];
  return { state, text };
}

export const useConnection = <T>(select: (state: Connection) => T): T =>
  useStore(connection, select);
