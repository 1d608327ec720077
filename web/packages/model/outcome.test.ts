import { describe, expect, it } from 'vitest';
import { evolve, isPending, type Outcome } from './outcome';
import { anRfq, aQuote } from './samples';

const idle: Outcome = { kind: 'idle' };
const sent = evolve(idle, { type: 'sent', quoteId: 'q1', at: 1_000 });
const rfq = anRfq({ status: 'QUOTING', quotes: [aQuote({ quoteId: 'q1' })] });

describe('the outcome of an accept', () => {
  it('is sent once: a second press changes nothing', () => {
    expect(sent.kind).toBe('sending');
    expect(evolve(sent, { type: 'sent', quoteId: 'q2', at: 1_001 })).toBe(sent);
  });

  it('is done when the RFQ has traded on this quote', () => {
    const traded = {
      ...rfq,
      status: 'TRADED' as const,
      acceptedQuoteId: 'q1',
      tradeId: 't',
      tradeDisplayId: 'T-1',
    };
    expect(evolve(sent, { type: 'saw', rfq: traded, answered: false })).toEqual({
      kind: 'done',
      quoteId: 'q1',
      tradeId: 't',
      tradeDisplayId: 'T-1',
    });
  });

  it('is refused when the RFQ traded on another quote', () => {
    const traded = { ...rfq, status: 'TRADED' as const, acceptedQuoteId: 'q9' };
    expect(evolve(sent, { type: 'saw', rfq: traded, answered: false }).kind).toBe('rejected');
  });

  it('waits through the last look and then says what the dealer said', () => {
    const looking = { ...rfq, status: 'ACCEPTED' as const, acceptedQuoteId: 'q1' };
    const working = evolve(sent, { type: 'saw', rfq: looking, answered: true });
    expect(working.kind).toBe('working');
    const quotes = [
      aQuote({ quoteId: 'q1', status: 'LAST_LOOK_REJECTED', reason: 'moved 0.3 pip' }),
    ];
    const after = evolve(working, { type: 'saw', rfq: { ...rfq, quotes }, answered: false });
    expect(after).toMatchObject({ kind: 'rejected', code: 'RFQ-207', sentence: 'moved 0.3 pip' });
  });

  it('does not take an older push of the open RFQ for an answer', () => {
    expect(evolve(sent, { type: 'saw', rfq, answered: false })).toBe(sent);
  });

  it('is unknown without an answer, counts its tries, and is resolved only by the RFQ or a refusal', () => {
    const lost = evolve(sent, { type: 'lost', at: 2_000, nextAt: 3_000 });
    expect(lost).toMatchObject({ kind: 'unknown', attempt: 1 });
    const again = evolve(lost, { type: 'lost', at: 3_000, nextAt: 5_000 });
    expect(again).toMatchObject({ kind: 'unknown', attempt: 2 });
    expect(evolve(again, { type: 'saw', rfq, answered: false })).toBe(again);
    expect(isPending(again)).toBe(true);
    const refused = evolve(again, {
      type: 'refused',
      code: 'RFQ-204',
      sentence: 'Too late',
      correlationId: null,
    });
    expect(refused).toMatchObject({ kind: 'rejected', code: 'RFQ-204' });
    expect(evolve(refused, { type: 'lost', at: 1, nextAt: 2 })).toBe(refused);
  });

  it('ends when the RFQ ends without a trade', () => {
    const expired = {
      ...rfq,
      status: 'EXPIRED' as const,
      reasonCode: 'RFQ-204',
      reason: 'Too late',
    };
    expect(evolve(sent, { type: 'saw', rfq: expired, answered: false })).toMatchObject({
      kind: 'rejected',
      code: 'RFQ-204',
    });
  });
});
