import { dec } from './decimal';
import { millis } from './time';
import type { Quote, Rfq, RfqDealer, Side } from './types';

export type CardStatus =
  | 'pending'
  | 'quoted'
  | 'passed'
  | 'withdrawn'
  | 'expired'
  | 'rejected'
  | 'accepting'
  | 'won'
  | 'lost'
  | 'lapsed';

export interface QuoteCard {
  lpId: string;
  name: string;
  quote: Quote | null;
  dealer: RfqDealer | null;
  status: CardStatus;
  isBest: boolean;
  rank: number | null;
  leftMs: number | null;
}

/** Best price for the taker first; the earlier answer wins a tie. */
export function compareQuotes(a: Quote, b: Quote, side: Side): number {
  const pa = dec(a.price);
  const pb = dec(b.price);
  if (pa && pb) {
    const order = side === 'BUY' ? pa.cmp(pb) : pb.cmp(pa);
    if (order !== 0) return order;
  }
  return (millis(a.receivedAt) ?? 0) - (millis(b.receivedAt) ?? 0);
}

export const isLive = (quote: Quote, now: number): boolean =>
  quote.status === 'QUOTED' && (millis(quote.expiresAt) ?? 0) > now;

export function liveQuotes(rfq: Rfq, now: number): Quote[] {
  return rfq.quotes.filter((q) => isLive(q, now)).sort((a, b) => compareQuotes(a, b, rfq.side));
}

const FROM_QUOTE: Record<Quote['status'], CardStatus> = {
  QUOTED: 'quoted',
  PASSED: 'passed',
  WITHDRAWN: 'withdrawn',
  EXPIRED: 'expired',
  LAST_LOOK_REJECTED: 'rejected',
  WON: 'won',
  LOST: 'lost',
};

function statusOf(
  rfq: Rfq,
  quote: Quote | null,
  dealer: RfqDealer | null,
  now: number,
): CardStatus {
  if (!quote) {
    if (dealer?.status === 'PASSED') return 'passed';
    return ['CREATED', 'SENT', 'QUOTING'].includes(rfq.status) ? 'pending' : 'lapsed';
  }
  if (rfq.status === 'ACCEPTED' && quote.quoteId === rfq.acceptedQuoteId) return 'accepting';
  if (quote.status === 'QUOTED' && rfq.status === 'QUOTING' && !isLive(quote, now))
    return 'expired';
  if (quote.status === 'QUOTED' && ['EXPIRED', 'CANCELLED', 'REJECTED'].includes(rfq.status))
    return 'lapsed';
  return FROM_QUOTE[quote.status];
}

/** The newest answer of each dealer; a requote of the same dealer replaces its card in place. */
function latestByDealer(quotes: Quote[]): Map<string, Quote> {
  const latest = new Map<string, Quote>();
  for (const quote of quotes) {
    const known = latest.get(quote.lpId);
    if (!known || (millis(quote.receivedAt) ?? 0) >= (millis(known.receivedAt) ?? 0)) {
      latest.set(quote.lpId, quote);
    }
  }
  return latest;
}

/** A dealer's reason as words: codes such as NO_INTEREST are spelled out, sentences stay. */
export const reasonWords = (reason: string): string =>
  /^[A-Z0-9_]+$/.test(reason) ? reason.toLowerCase().replaceAll('_', ' ') : reason;

/** How many dealers have answered with a price; a dealer that replaces its quote counts once. */
export const dealersQuoted = (rfq: Rfq): number => new Set(rfq.quotes.map((q) => q.lpId)).size;

/** One card per dealer asked, in the order of `order` (dealers unknown to it come last). */
export function quoteCards(rfq: Rfq, now: number, order: readonly string[] = []): QuoteCard[] {
  const live = liveQuotes(rfq, now);
  const latest = latestByDealer(rfq.quotes);
  const dealers = new Map(rfq.dealers.map((d) => [d.lpId, d]));
  const ids = [...new Set([...order, ...dealers.keys(), ...latest.keys()])];
  return (
    ids
      // Who was never asked is among the dealers with the reason, not among the quotes.
      .filter(
        (lpId) =>
          latest.has(lpId) || (dealers.has(lpId) && dealers.get(lpId)?.status !== 'EXCLUDED'),
      )
      .map((lpId) => {
        const quote = latest.get(lpId) ?? null;
        const dealer = dealers.get(lpId) ?? null;
        const place = quote ? live.findIndex((q) => q.quoteId === quote.quoteId) : -1;
        const ends = quote ? millis(quote.expiresAt) : null;
        return {
          lpId,
          name: quote?.lpName ?? dealer?.name ?? lpId,
          quote,
          dealer,
          status: statusOf(rfq, quote, dealer, now),
          isBest: place === 0 && rfq.status === 'QUOTING',
          rank: place >= 0 ? place + 1 : null,
          leftMs: ends === null ? null : Math.max(0, ends - now),
        };
      })
  );
}

/** Live quotes by rank, then who may still answer, then who is out. */
export function rankedOrder(rfq: Rfq, now: number): string[] {
  const weight = (card: QuoteCard): number =>
    card.rank !== null ? card.rank : card.status === 'pending' ? 1_000 : card.quote ? 2_000 : 3_000;
  return quoteCards(rfq, now)
    .sort((a, b) => weight(a) - weight(b))
    .map((card) => card.lpId);
}
