/** What to do with a frame of a gap-free channel. */
export type SeqVerdict = 'apply' | 'duplicate' | 'gap' | 'unexpected';

/**
 * Follows one gap-free channel: a snapshot sets the position, each update must be the next.
 * After a gap everything is refused until the next snapshot.
 */
export class SequenceTracker {
  private last: number | null = null;

  snapshot(seq: number): void {
    this.last = seq;
  }

  update(seq: number): SeqVerdict {
    if (this.last === null) return 'unexpected';
    if (seq <= this.last) return 'duplicate';
    if (seq !== this.last + 1) {
      this.last = null;
      return 'gap';
    }
    this.last = seq;
    return 'apply';
  }

  reset(): void {
    this.last = null;
  }
}
