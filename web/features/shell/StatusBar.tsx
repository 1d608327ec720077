import { useConnection } from '@client/hooks';
import { market } from '@client/market';
import { preferences } from '@client/preferences';
import { useSession } from '@client/session';
import { NO_VALUE } from '@model/price';
import { T } from '@model/testids';
import { clock } from '@model/time';
import { useEffect, useState } from 'react';
import { useStore } from 'zustand';

interface Measured {
  p50: number | null;
  p99: number | null;
  received: number;
  painted: number;
}

const EVERY_MS = 1_000;

function useMeasured(): Measured {
  const read = (): Measured => {
    const latency = market.latency.percentiles();
    return {
      p50: latency?.p50 ?? null,
      p99: latency?.p99 ?? null,
      received: market.received.perSecond(),
      painted: market.painted.perSecond(),
    };
  };
  const [measured, setMeasured] = useState(read);
  // biome-ignore lint/correctness/useExhaustiveDependencies: one timer for the life of the bar
  useEffect(() => {
    const timer = setInterval(() => setMeasured(read()), EVERY_MS);
    return () => clearInterval(timer);
  }, []);
  return measured;
}

const ms = (value: number | null) => (value === null ? NO_VALUE : `${Math.round(value)} ms`);

function offsetText(offset: number | null): string {
  if (offset === null) return NO_VALUE;
  const rounded = Math.round(offset);
  return `${rounded > 0 ? '+' : rounded < 0 ? '−' : ''}${Math.abs(rounded)} ms`;
}

const STREAMS: Record<string, string> = {
  ticks: 'prices',
  rfqs: 'RFQs',
  trades: 'trades',
  notifications: 'notifications',
};

/** What the edge says of itself, in a sentence. */
export function degradedText(degraded: readonly string[]): string {
  const lost = degraded.flatMap((one) => STREAMS[one] ?? []);
  if (lost.length > 0) return `Not coming in: ${lost.join(', ')}`;
  if (degraded.includes('rate')) return 'Screen rate is lowered: the platform is busy';
  return 'Cache lost: answers come from the database';
}

export function StatusBar() {
  const measured = useMeasured();
  const sessions = useConnection((c) => c.sessions);
  const offset = useConnection((c) => c.offsetMs);
  const degraded = useConnection((c) => c.degraded);
  const me = useSession((s) => s.me);
  const seesMarket = useSession((s) => s.permissions.has('market.read'));
  const saving = useStore(preferences, (s) => s.failure);
  const savedAt = useStore(preferences, (s) => s.savedAt);
  const { feed } = me ?? {};
  return (
    <footer className="statusbar" data-testid={T.statusBar}>
      {seesMarket && (
        <>
          <span
            title="From the platform taking in a tick to the frame that shows it, last minute"
            data-testid={T.latency}
            data-p50={measured.p50 ?? ''}
            data-p99={measured.p99 ?? ''}
          >
            Tick to paint p50 <b>{ms(measured.p50)}</b> p99 <b>{ms(measured.p99)}</b>
          </span>
          <span
            title="Ticks that came over the stream, and how many of them were painted"
            data-testid={T.rates}
            data-received={measured.received}
            data-painted={measured.painted}
          >
            Ticks received <b>{Math.round(measured.received)}/s</b> painted{' '}
            <b>{Math.round(measured.painted)}/s</b>
          </span>
        </>
      )}
      <span>
        WebSocket sessions <b>{sessions ?? NO_VALUE}</b>
      </span>
      <span title="Server clock against this computer's clock, corrected on screen">
        Server clock <b>{offsetText(offset)}</b>
      </span>
      {degraded.length > 0 && (
        <span className="tone-warn" data-testid={T.degraded}>
          {degradedText(degraded)}
        </span>
      )}
      {saving ? (
        <span className="tone-warn" title={saving}>
          Settings not saved
        </span>
      ) : (
        savedAt && (
          <span>
            Settings saved <b>{clock(savedAt, false)}</b>
          </span>
        )
      )}
      <span className="spring" />
      {feed && seesMarket && (
        <span data-testid={T.scenario}>
          {feed.mode === 'REPLAY' ? (
            <>
              Replay <b>{feed.speed === null ? 'max speed' : `${feed.speed}×`}</b>
            </>
          ) : (
            <>
              Scenario <b>{feed.scenario}</b> seed <b>{feed.seed}</b>
            </>
          )}
        </span>
      )}
      <span>
        Build <b>{me?.build ?? NO_VALUE}</b>
      </span>
      <span>
        <b>{me?.environment.toUpperCase()}</b>
      </span>
    </footer>
  );
}
