import { millis } from '@model/time';
import type { StaleNotice, Tick } from '@model/types';
import { serverClock } from './clock';
import { Latency, Rate } from './measure';

export type Direction = 'up' | 'down' | null;

export interface Live {
  tick: Tick;
  direction: Direction;
  /** Grows with each painted change; a cell flashes when it differs from the last. */
  beat: number;
}

const SHORTEST_PAINT_GAP_MS = 95;
/** What is not needed for prices waits for the first of them, but no longer than this. */
const FIRST_PRICES_MS = 1_500;

/**
 * The newest tick of each instrument, conflated: frames only mark instruments as changed, and once
 * per animation frame (at most about ten times a second) the rows that changed are told.
 */
export class MarketStore {
  private readonly live = new Map<string, Live>();
  private readonly pending = new Map<string, Tick>();
  private readonly stale = new Set<string>();
  private readonly listeners = new Map<string, Set<() => void>>();
  private readonly everyone = new Set<(ids: readonly string[]) => void>();
  private scheduled = false;
  private lastFlush = 0;
  readonly latency = new Latency();
  readonly received = new Rate();
  readonly painted = new Rate();
  private showFirst: () => void = () => {};
  private readonly first = new Promise<void>((shown) => {
    this.showFirst = shown;
  });

  /** Settles when the first prices are on screen; soon, too, where none come. */
  firstPrices(): Promise<void> {
    const patience = new Promise<void>((over) => setTimeout(over, FIRST_PRICES_MS));
    return Promise.race([this.first, patience]);
  }

  get = (id: string): Live | undefined => this.live.get(id);
  isStale = (id: string): boolean => this.stale.has(id);

  subscribe(id: string, listener: () => void): () => void {
    const set = this.listeners.get(id) ?? new Set();
    this.listeners.set(id, set);
    set.add(listener);
    return () => set.delete(listener);
  }

  /** Told once per flush with the ids that changed (chart, sparklines). */
  onFlush(listener: (ids: readonly string[]) => void): () => void {
    this.everyone.add(listener);
    return () => this.everyone.delete(listener);
  }

  apply(ticks: readonly Tick[], isSnapshot: boolean): void {
    if (!isSnapshot) this.received.add(ticks.length);
    for (const tick of ticks) {
      const known = this.pending.get(tick.instrumentId) ?? this.live.get(tick.instrumentId)?.tick;
      if (known && (millis(tick.receivedAt) ?? 0) < (millis(known.receivedAt) ?? 0)) continue;
      this.pending.set(tick.instrumentId, tick);
    }
    this.schedule();
  }

  notice(items: readonly StaleNotice[]): void {
    for (const item of items) {
      if (item.state === 'STALE') this.stale.add(item.instrumentId);
      else this.stale.delete(item.instrumentId);
      for (const listener of this.listeners.get(item.instrumentId) ?? []) listener();
    }
  }

  private schedule(): void {
    if (this.scheduled || this.pending.size === 0) return;
    this.scheduled = true;
    const wait = this.lastFlush + SHORTEST_PAINT_GAP_MS - performance.now();
    // A hidden page gets no animation frames; its state must still move on.
    const next = () =>
      document.hidden ? setTimeout(this.flush, 250) : requestAnimationFrame(this.flush);
    if (wait > 4) setTimeout(next, wait);
    else next();
  }

  private readonly flush = (): void => {
    this.scheduled = false;
    this.lastFlush = performance.now();
    const changed = [...this.pending.values()];
    this.pending.clear();
    const painted: Tick[] = [];
    for (const tick of changed) {
      const before = this.live.get(tick.instrumentId);
      const direction = directionOf(before, tick);
      const moved = before?.tick.bid !== tick.bid || before?.tick.ask !== tick.ask;
      const beat = (before?.beat ?? 0) + (before && moved ? 1 : 0);
      this.live.set(tick.instrumentId, { tick, direction, beat });
      const listeners = this.listeners.get(tick.instrumentId);
      // A heartbeat brings the old price again: that is no tick, so its age is no latency.
      const isNew = before !== undefined && before.tick.receivedAt !== tick.receivedAt;
      if (isNew && listeners && listeners.size > 0) painted.push(tick);
      for (const listener of listeners ?? []) listener();
    }
    const ids = changed.map((tick) => tick.instrumentId);
    for (const listener of this.everyone) listener(ids);
    if (painted.length > 0 && !document.hidden) this.measure(painted);
    // Two frames on: these prices are painted by then.
    if (ids.length > 0) afterFrame(() => afterFrame(this.showFirst));
  };

  /** Runs right after the frame in which these ticks were painted. */
  private measure(ticks: readonly Tick[]): void {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      this.painted.add(ticks.length);
      if (!serverClock.measured) return;
      const now = serverClock.now();
      for (const tick of ticks) {
        const at = millis(tick.receivedAt);
        if (at !== null) this.latency.add(now - at);
      }
    };
    requestAnimationFrame(() => port2.postMessage(null));
  }
}

function afterFrame(then: () => void): void {
  if (document.hidden) setTimeout(then, 0);
  else requestAnimationFrame(then);
}

function directionOf(before: Live | undefined, tick: Tick): Direction {
  const was = before?.tick.mid ?? null;
  if (was === null || tick.mid === null || was === tick.mid) return before?.direction ?? null;
  return Number(tick.mid) > Number(was) ? 'up' : 'down';
}

export const market = new MarketStore();
