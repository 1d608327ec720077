import { market } from '@client/market';
import { dec } from '@model/decimal';
import { inUnits } from '@model/price';
import { millis } from '@model/time';
import type { Bar, Instrument } from '@model/types';

/** Spread in the instrument's own unit over time; floats, because it is only drawn. */
export interface Series {
  at: number[];
  spread: number[];
}

const STEP_S = 5;

const units = (distance: string, of: Instrument, mid: string): number | null => {
  const value = dec(distance);
  return value ? (inUnits(value, of, mid)?.toNumber() ?? null) : null;
};

export function fromBars(bars: readonly Bar[], of: Instrument): Series {
  const series: Series = { at: [], spread: [] };
  for (const bar of bars) {
    const at = millis(bar.at);
    const spread = units(bar.spread, of, bar.mid);
    if (at === null || spread === null) continue;
    series.at.push(at / 1000);
    series.spread.push(spread);
  }
  return series;
}

/** Puts the newest tick at the end, one point per 5 s; true when something changed. */
export function extend(series: Series, of: Instrument, spanS: number): boolean {
  const tick = market.get(of.instrumentId)?.tick;
  const bid = dec(tick?.bid);
  const ask = dec(tick?.ask);
  const received = millis(tick?.receivedAt);
  if (!tick?.mid || !bid || !ask || received === null) return false;
  const spread = units(ask.minus(bid).toFixed(), of, tick.mid);
  if (spread === null) return false;
  const at = Math.floor(received / 1000 / STEP_S) * STEP_S;
  const last = series.at.at(-1) ?? 0;
  if (at < last) return false;
  if (at === last) series.spread[series.spread.length - 1] = spread;
  else {
    series.at.push(at);
    series.spread.push(spread);
  }
  while ((series.at[0] ?? at) < at - spanS) {
    series.at.shift();
    series.spread.shift();
  }
  return true;
}

// Quieter than this is not a flat spread but no spread: nothing was heard.
const GAP_S = 60;

/** What is drawn: a line that ends where nothing was heard, instead of a level that nobody saw. */
export function withGaps(series: Series): [number[], (number | null)[]] {
  const at: number[] = [];
  const spread: (number | null)[] = [];
  series.at.forEach((moment, i) => {
    const before = series.at[i - 1];
    if (before !== undefined && moment - before > GAP_S) {
      at.push(before + STEP_S);
      spread.push(null);
    }
    at.push(moment);
    spread.push(series.spread[i] ?? null);
  });
  return [at, spread];
}

export interface Summary {
  now: number;
  median: number;
  p95: number;
  max: number;
}

export function summary(series: Series): Summary | null {
  if (series.spread.length === 0) return null;
  const sorted = [...series.spread].sort((a, b) => a - b);
  const at = (share: number) =>
    sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))] ?? 0;
  return {
    now: series.spread.at(-1) ?? 0,
    median: at(0.5),
    p95: at(0.95),
    max: sorted.at(-1) ?? 0,
  };
}
