import type { Rfq } from '@model/types';

/** Side, size and unit, large. */
export function What({
  side,
  size,
  unit,
}: {
  side: Rfq['side'] | null;
  size: string;
  unit: string;
}) {
  return (
    <span className="ticket-what clip">
      {side && (
        <span className={side === 'BUY' ? 'tone-buy' : 'tone-sell'}>
          {side === 'BUY' ? 'Buy' : 'Sell'}
        </span>
      )}{' '}
      {size} {unit}
    </span>
  );
}
