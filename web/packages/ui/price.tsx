import type { Freshness } from '@model/freshness';
import { NO_VALUE, priceParts } from '@model/price';
import type { Instrument } from '@model/types';
import { memo } from 'react';
import { Icon, type IconName } from './icons';

type Size = 'row' | 'tile' | 'card';

/** Big figure small, pips large, the fractional pip raised; a dash when there is no price. */
export const Price = memo(function Price({
  value,
  of,
  size = 'row',
  tone,
}: {
  value: string | null | undefined;
  of: Pick<Instrument, 'display'>;
  size?: Size;
  tone?: 'dim' | 'void' | undefined;
}) {
  const parts = priceParts(value, of);
  const classes = `price price-${size} ${tone === undefined ? '' : 'price-dim'} ${tone === 'void' ? 'price-void' : ''}`;
  if (!parts) {
    return (
      <span className={`${classes} price-none`}>
        <b>{NO_VALUE}</b>
      </span>
    );
  }
  return (
    <span className={classes}>
      <i>{parts.big}</i>
      <b>{parts.pips}</b>
      <u>{parts.fraction}</u>
    </span>
  );
});

const AGE_ICON: Record<Freshness, IconName> = {
  none: 'ring',
  fresh: 'dot',
  amber: 'triangle',
  red: 'square',
};
const AGE_WORD: Record<Freshness, string> = {
  none: 'no price yet',
  fresh: 'fresh',
  amber: 'getting old',
  red: 'too old to deal',
};

export const AgeMark = memo(function AgeMark({
  state,
  text,
  testId,
}: {
  state: Freshness;
  text: string;
  testId?: string;
}) {
  return (
    <span className={`age age-${state}`} title={`Price is ${AGE_WORD[state]}`} data-testid={testId}>
      <Icon name={AGE_ICON[state]} size={8} />
      {text}
    </span>
  );
});
