import { millis } from '@model/time';
import type { Bar } from '@model/types';
import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { market } from './market';
import { api } from './rest';

const MINUTES = 30;
const POINTS = 60;
const BUCKET_MS = (MINUTES * 60_000) / POINTS;
const AT_ONCE = 2;
// Fewer points than this are no picture.
const FEWEST = 3;

/**
 * Half an hour of mids per instrument in 30 s steps: history once, then live ticks. The numbers
 * are only drawn, never shown or dealt on, so floats are good enough here.
 */
class Sparks {
  private readonly series = new Map<string, { bucket: number; mids: (number | null)[] }>();
  private readonly paths = new Map<string, string>();
  private readonly listeners = new Map<string, Set<() => void>>();
  private readonly asked = new Set<string>();
  private queue: string[] = [];
  private running = 0;

  constructor() {
    market.onFlush((ids) => {
      for (const id of ids) this.extend(id);
    });
  }

  path = (id: string): string => this.paths.get(id) ?? '';

  subscribe(id: string, listener: () => void): () => void {
    const set = this.listeners.get(id) ?? new Set();
    this.listeners.set(id, set.add(listener));
    return () => set.delete(listener);
  }

  want(id: string): void {
    if (this.asked.has(id)) return;
    this.asked.add(id);
    this.queue.push(id);
    this.next();
  }

  private next(): void {
    if (this.running >= AT_ONCE) return;
    const id = this.queue.shift();
    if (id === undefined) return;
    this.running += 1;
    api
      .history(id, MINUTES)
      .then((page) => this.fill(id, page.items))
      .catch(() => {
        // A missing spark line is only a missing picture; it is asked for again on the next visit.
        this.asked.delete(id);
      })
      .finally(() => {
        this.running -= 1;
        this.next();
      });
  }

  private fill(id: string, bars: readonly Bar[]): void {
    const last = Math.floor(Date.now() / BUCKET_MS);
    const mids: (number | null)[] = new Array(POINTS).fill(null);
    for (const bar of bars) {
      const at = millis(bar.at);
      if (at === null) continue;
      const index = POINTS - 1 - (last - Math.floor(at / BUCKET_MS));
      if (index >= 0 && index < POINTS) mids[index] = Number(bar.mid);
    }
    this.series.set(id, { bucket: last, mids });
    this.draw(id);
  }

  private extend(id: string): void {
    const series = this.series.get(id);
    const mid = market.get(id)?.tick.mid;
    if (!series || !mid) return;
    const bucket = Math.floor(Date.now() / BUCKET_MS);
    const steps = Math.min(POINTS, bucket - series.bucket);
    for (let i = 0; i < steps; i++) {
      series.mids.shift();
      series.mids.push(null);
    }
    series.bucket = bucket;
    series.mids[POINTS - 1] = Number(mid);
    if (steps > 0) this.draw(id);
  }

  private draw(id: string): void {
    const mids = this.series.get(id)?.mids ?? [];
    const known = mids.filter((m): m is number => m !== null);
    const low = Math.min(...known);
    const span = Math.max(...known) - low;
    let path = '';
    mids.forEach((mid, i) => {
      if (mid === null) return;
      const x = ((i / (POINTS - 1)) * 100).toFixed(1);
      const y = (span === 0 ? 7 : 13 - ((mid - low) / span) * 12).toFixed(1);
      path += `${path ? 'L' : 'M'}${x} ${y}`;
    });
    this.paths.set(id, known.length >= FEWEST ? path : '');
    for (const listener of this.listeners.get(id) ?? []) listener();
  }
}

const sparks = new Sparks();

export function useSpark(id: string): string {
  useEffect(() => sparks.want(id), [id]);
  const subscribe = useCallback((l: () => void) => sparks.subscribe(id, l), [id]);
  return useSyncExternalStore(subscribe, () => sparks.path(id));
}
