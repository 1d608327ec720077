import { describe, expect, it } from 'vitest';
import { ServerClock } from './clock';

describe('the server clock', () => {
  it('believes the sample with the shortest round trip', () => {
    const clock = new ServerClock();
    clock.sample(1_000, 1_400, 1_500);
    expect(clock.offset).toBe(300);
    clock.sample(2_000, 2_010, 2_055);
    expect(clock.offset).toBe(50);
    clock.sample(3_000, 3_900, 9_999);
    expect(clock.offset).toBe(50);
  });

  it('takes nothing from a slow answer that agreeing clocks would explain', () => {
    const clock = new ServerClock();
    clock.hint(1_000, 6_000, 1_200);
    expect(clock.offset).toBe(0);
    clock.hint(1_000, 1_100, 61_050);
    expect(clock.offset).toBe(60_000);
  });

  it('keeps the old offset as a guess until it is measured anew', () => {
    const clock = new ServerClock();
    clock.sample(0, 10, 105);
    clock.forget();
    expect(clock.measured).toBe(false);
    expect(clock.offset).toBe(100);
  });
});
