import { describe, expect, it } from 'vitest';
import { liveQuotes, quoteCards, rankedOrder } from './quotes';
import { anRfq, aQuote } from './samples';

const now = Date.parse('2026-02-09T14:32:00.000Z');
const quotes = [
  aQuote({ quoteId: 'a', lpId: 'A', price: '1.14038', receivedAt: '2026-02-09T14:31:59.100Z' }),
  aQuote({ quoteId: 'b', lpId: 'B', price: '1.14037', receivedAt: '2026-02-09T14:31:59.300Z' }),
  aQuote({ quoteId: 'c', lpId: 'C', price: '1.14037', receivedAt: '2026-02-09T14:31:59.200Z' }),
  aQuote({ quoteId: 'd', lpId: 'D', price: '1.10000', expiresAt: '2026-02-09T14:31:59.999Z' }),
];
const dealers = ['A', 'B', 'C', 'D', 'E', 'F'].map((lpId) => ({
  lpId,
  name: lpId,
  status:
    lpId === 'E'
      ? ('PENDING' as const)
      : lpId === 'F'
        ? ('EXCLUDED' as const)
        : ('QUOTED' as const),
  reason: null,
  responseMs: null,
}));

describe('ranking', () => {
  it('takes the best price, the earlier answer on a tie, and nothing that has expired', () => {
    expect(liveQuotes(anRfq({ quotes }), now).map((q) => q.quoteId)).toEqual(['c', 'b', 'a']);
    expect(liveQuotes(anRfq({ quotes, side: 'SELL' }), now).map((q) => q.quoteId)).toEqual([
      'a',
      'c',
      'b',
    ]);
  });

  it('puts live quotes first, then who may still answer, then who is out', () => {
    expect(rankedOrder(anRfq({ quotes, dealers }), now)).toEqual(['C', 'B', 'A', 'E', 'D']);
  });

  it('keeps a given order whatever the prices do, and adds newcomers at the end', () => {
    const cards = quoteCards(anRfq({ quotes, dealers }), now, ['D', 'A']);
    expect(cards.map((c) => c.lpId)).toEqual(['D', 'A', 'B', 'C', 'E']);
    expect(cards.map((c) => c.status)).toEqual([
      'expired',
      'quoted',
      'quoted',
      'quoted',
      'pending',
    ]);
    expect(cards.filter((c) => c.isBest).map((c) => c.lpId)).toEqual(['C']);
  });
});
