/** Percentiles over the last samples, for the status bar. */
export class Latency {
  private readonly samples: { at: number; ms: number }[] = [];
  private static readonly KEPT = 4_000;
  private static readonly WINDOW_MS = 60_000;

  add(ms: number): void {
    this.samples.push({ at: performance.now(), ms });
    if (this.samples.length > Latency.KEPT) this.samples.splice(0, Latency.KEPT / 4);
  }

  percentiles(): { p50: number; p99: number; count: number } | null {
    const since = performance.now() - Latency.WINDOW_MS;
    const recent = this.samples.filter((s) => s.at >= since).map((s) => s.ms);
    if (recent.length === 0) return null;
    recent.sort((a, b) => a - b);
    const at = (share: number) =>
      recent[Math.min(recent.length - 1, Math.ceil(share * recent.length) - 1)] ?? 0;
    return { p50: Math.max(0, at(0.5)), p99: Math.max(0, at(0.99)), count: recent.length };
  }
}

/** Events per second over the last few whole seconds. */
export class Rate {
  private readonly buckets = new Map<number, number>();
  private static readonly SECONDS = 5;

  add(count: number): void {
    const second = Math.floor(performance.now() / 1000);
    this.buckets.set(second, (this.buckets.get(second) ?? 0) + count);
    for (const key of this.buckets.keys()) {
      if (key < second - Rate.SECONDS - 1) this.buckets.delete(key);
    }
  }

  perSecond(): number {
    const second = Math.floor(performance.now() / 1000);
    let sum = 0;
    for (let s = second - Rate.SECONDS; s < second; s++) sum += this.buckets.get(s) ?? 0;
    return sum / Rate.SECONDS;
  }
}
