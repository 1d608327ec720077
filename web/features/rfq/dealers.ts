import { useDealers } from '@client/dealers';
import type { Dealer } from '@model/types';
import { useMemo } from 'react';
import type { Draft } from './store';

export interface Choice {
  dealer: Dealer;
  /** Why this dealer cannot be asked for this instrument; null when it can. */
  off: string | null;
  chosen: boolean;
}

export function choicesOf(dealers: readonly Dealer[], draft: Draft): Choice[] {
  return dealers.map((dealer) => {
    const trades = !draft.instrumentId || dealer.instrumentIds.includes(draft.instrumentId);
    const off = !dealer.enabled
      ? (dealer.reason ?? 'off')
      : trades
        ? null
        : 'does not quote this instrument';
    return { dealer, off, chosen: off === null && !draft.without.includes(dealer.lpId) };
  });
}

export function useChoices(draft: Draft): Choice[] {
  const { data } = useDealers();
  return useMemo(() => choicesOf(data ?? [], draft), [data, draft]);
}
