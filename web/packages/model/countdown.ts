export type Urgency = 'calm' | 'warn' | 'bad' | 'over';

export interface Countdown {
  leftMs: number;
  /** 1 at the start, 0 at the end. */
  share: number;
  text: string;
  urgency: Urgency;
}

/** Time left by the server's clock; never negative, never more than the whole. */
export function countdown(expiresAt: number, totalMs: number, serverNow: number): Countdown {
  const leftMs = Math.max(0, expiresAt - serverNow);
  const share = totalMs > 0 ? Math.min(1, leftMs / totalMs) : 0;
  const urgency = leftMs <= 0 ? 'over' : leftMs < 3_000 ? 'bad' : leftMs < 10_000 ? 'warn' : 'calm';
  // Rounded up, so that the screen does not say 0.0 while there is still time.
  return { leftMs, share, text: (Math.ceil(leftMs / 100) / 10).toFixed(1), urgency };
}
