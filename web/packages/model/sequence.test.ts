import { describe, expect, it } from 'vitest';
import { SequenceTracker } from './sequence';

describe('a gap-free channel', () => {
  it('applies the next, drops repeats, and stops at a gap until a snapshot', () => {
    const tracker = new SequenceTracker();
    expect(tracker.update(1)).toBe('unexpected');
    tracker.snapshot(10);
    expect(tracker.update(11)).toBe('apply');
    expect(tracker.update(11)).toBe('duplicate');
    expect(tracker.update(9)).toBe('duplicate');
    expect(tracker.update(13)).toBe('gap');
    expect(tracker.update(14)).toBe('unexpected');
    tracker.snapshot(20);
    expect(tracker.update(21)).toBe('apply');
  });

  it('forgets its place when the connection is lost', () => {
    const tracker = new SequenceTracker();
    tracker.snapshot(5);
    tracker.reset();
    expect(tracker.update(6)).toBe('unexpected');
  });
});
