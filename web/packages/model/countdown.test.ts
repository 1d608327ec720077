import { describe, expect, it } from 'vitest';
import { countdown } from './countdown';
import { ageOf } from './freshness';
import type { Tick } from './types';

describe('the countdown', () => {
  it('counts by the server clock, in tenths rounded up', () => {
    expect(countdown(30_000, 30_000, 8_640)).toMatchObject({
      leftMs: 21_360,
      text: '21.4',
      urgency: 'calm',
    });
    expect(countdown(30_000, 30_000, 29_999).text).toBe('0.1');
  });

  it('turns at ten and at three seconds and ends at zero', () => {
    expect(countdown(10_000, 30_000, 0).urgency).toBe('calm');
    expect(countdown(9_999, 30_000, 0).urgency).toBe('warn');
    expect(countdown(2_999, 30_000, 0).urgency).toBe('bad');
    expect(countdown(1_000, 30_000, 9_000)).toMatchObject({
      leftMs: 0,
      share: 0,
      text: '0.0',
      urgency: 'over',
    });
  });
});

describe('freshness', () => {
  const limits = { staleAmberMs: 2_000, staleRedMs: 5_000 };
  const tick = { receivedAt: '1970-01-01T00:00:10.000Z' } as Tick;

  it('comes from the newest sign of life of the symbol itself', () => {
    expect(ageOf(tick, limits, 11_000)).toMatchObject({ state: 'fresh', text: '1.0 s' });
    expect(ageOf(tick, limits, 12_000).state).toBe('amber');
    expect(ageOf(tick, limits, 15_000).state).toBe('red');
    const beaten = { ...tick, heartbeatAt: '1970-01-01T00:00:14.500Z' };
    expect(ageOf(beaten, limits, 15_000).state).toBe('fresh');
    expect(ageOf(undefined, limits, 15_000)).toEqual({ state: 'none', ms: null, text: '–' });
  });

  it('believes a server that says stale', () => {
    expect(ageOf(tick, limits, 10_100, true).state).toBe('red');
  });
});
