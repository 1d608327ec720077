import type { Live } from '@client/market';
import { useSpark } from '@client/sparks';
import { Icon } from '@ui/icons';
import { memo } from 'react';

export const Arrow = ({ direction }: { direction: Live['direction'] | undefined }) => (
  <span className={`arrow ${direction ? `tone-${direction}` : ''}`}>
    {direction && <Icon name={direction} size={8} />}
    {direction && <span className="visually-hidden">{direction}</span>}
  </span>
);

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
