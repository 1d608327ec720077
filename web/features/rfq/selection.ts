import { useTicking } from '@client/hooks';
import { liveQuotes } from '@model/quotes';
import type { Quote, Rfq } from '@model/types';
import { useTicket } from './store';

export interface Selection {
  quote: Quote | null;
  bestId: string | null;
  liveCount: number;
}

/**
 * The quote that Accept stands for: the user's choice while it lives, else the best. Once the RFQ
 * waits for a last look or has ended, the accepted one stays marked.
 */
export function useSelection(rfq: Rfq): Selection {
  const chosen = useTicket((s) => s.selected[rfq.rfqId]);
  const packed = useTicking((now) => {
    const live = liveQuotes(rfq, now);
    const best = live[0]?.quoteId ?? '';
    // A dealer that replaces its quote keeps the choice: the user chose whom to deal with.
    const dealer = rfq.quotes.find((q) => q.quoteId === chosen)?.lpId;
    const mine =
      live.find((q) => q.quoteId === chosen) ?? live.find((q) => q.lpId === dealer) ?? live[0];
    return `${mine?.quoteId ?? ''}|${best}|${live.length}`;
  }, 'fast');
  const [mine, best, count] = packed.split('|');
  const shown = rfq.status === 'QUOTING' || rfq.status === 'SENT' ? mine : rfq.acceptedQuoteId;
  return {
    quote: rfq.quotes.find((q) => q.quoteId === shown) ?? null,
    bestId: best || null,
    liveCount: Number(count),
  };
}
