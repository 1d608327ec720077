import type { Live } from '@client/market';
import { useSpark } from '@client/sparks';
import { T } from '@model/testids';
import { Icon } from '@ui/icons';
import { memo } from 'react';

export const Arrow = ({ direction }: { direction: Live['direction'] | undefined }) => (
  <span className={`arrow ${direction ? `tone-${direction}` : ''}`}>
    {direction && <Icon name={direction} size={8} />}
    {direction && <span className="visually-hidden">{direction}</span>}
  </span>
);

const FLAGS: Record<string, [string, string]> = {
  LATE: ['late', 'The last tick came after a newer one'],
  CROSSED: ['crossed', 'The bid is above the ask'],
  LOCKED: ['locked', 'Bid and ask are the same'],
  ONE_SIDED: ['1-sided', 'One side has no price'],
  OFF_TICK: ['off tick', 'The price is between two ticks'],
  INDICATIVE: ['indic.', 'The price is not dealable'],
};

/** What is odd about the price on screen, in a word; nothing where all is well. */
export const FlagMark = memo(function FlagMark({ flags }: { flags: string }) {
  const known = flags.split(' ').flatMap((flag) => (FLAGS[flag] ? [FLAGS[flag]] : []));
  if (known.length === 0) return null;
  const [first] = known;
  return (
    <span
      className="flag"
      data-testid={T.watchFlag}
      title={known.map(([, sentence]) => sentence).join('. ')}
    >
      {first?.[0]}
      {known.length > 1 && '+'}
    </span>
  );
});

/** A new key restarts the fade; there is none for the very first price. */
export const Flash = ({ live }: { live: Live | undefined }) =>
  live?.direction && live.beat > 0 ? (
    <span key={live.beat} className={`flash flash-${live.direction}`} aria-hidden="true" />
  ) : null;

export const Sparkline = memo(function Sparkline({ instrumentId }: { instrumentId: string }) {
  const path = useSpark(instrumentId);
  if (!path) return null;
  return (
    <svg className="spark" viewBox="0 0 100 14" preserveAspectRatio="none" aria-hidden="true">
      <path d={path} />
    </svg>
  );
});
