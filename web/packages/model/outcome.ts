import type { Quote, Rfq, RfqStatus } from './types';

/**
 * What is known about one act of the user (an accept, for now) after the button was pressed.
 * The machine never guesses: only an answer of the server or the RFQ itself moves it to an end.
 */
export type Outcome =
  | { kind: 'idle' }
  | { kind: 'sending'; quoteId: string; since: number }
  | { kind: 'working'; quoteId: string; since: number }
  | { kind: 'unknown'; quoteId: string; since: number; attempt: number; nextAt: number }
  | { kind: 'done'; quoteId: string; tradeId: string | null; tradeDisplayId: string | null }
  | {
      kind: 'rejected';
      quoteId: string;
      code: string;
      sentence: string;
      correlationId: string | null;
    };

export type OutcomeEvent =
  | { type: 'sent'; quoteId: string; at: number }
  | { type: 'saw'; rfq: Rfq; answered: boolean }
  | { type: 'refused'; code: string; sentence: string; correlationId: string | null }
  | { type: 'lost'; at: number; nextAt: number }
  | { type: 'cleared' };

export const SLOW_AFTER_MS = 2_000;

const OPEN: ReadonlySet<RfqStatus> = new Set(['CREATED', 'SENT', 'QUOTING', 'ACCEPTED']);
export const isOpen = (status: RfqStatus): boolean => OPEN.has(status);
/** May a quote still be accepted? An RFQ in ACCEPTED waits for the dealer's last look. */
export const isDealable = (status: RfqStatus): boolean => status === 'QUOTING' || status === 'SENT';

export const isPending = (outcome: Outcome): boolean =>
  outcome.kind === 'sending' || outcome.kind === 'working' || outcome.kind === 'unknown';

type Pending = Extract<Outcome, { kind: 'sending' | 'working' | 'unknown' }>;

function refusalFor(rfq: Rfq, quote: Quote | undefined, quoteId: string): Outcome {
  const lastLook = quote?.status === 'LAST_LOOK_REJECTED';
  return {
    kind: 'rejected',
    quoteId,
    code: rfq.reasonCode ?? (lastLook ? 'RFQ-207' : 'RFQ-205'),
    sentence: (lastLook ? (quote.reason ?? rfq.reason) : rfq.reason) ?? 'No trade was made',
    correlationId: rfq.correlationId,
  };
}

function settle(outcome: Pending, rfq: Rfq, answered: boolean): Outcome {
  const { quoteId } = outcome;
  const quote = rfq.quotes.find((q) => q.quoteId === quoteId);
  if (rfq.status === 'TRADED') {
    if (rfq.acceptedQuoteId && rfq.acceptedQuoteId !== quoteId)
      return refusalFor(rfq, quote, quoteId);
    const tradeId = rfq.tradeId ?? null;
    return { kind: 'done', quoteId, tradeId, tradeDisplayId: rfq.tradeDisplayId ?? null };
  }
  if (rfq.status === 'ACCEPTED') return { kind: 'working', quoteId, since: outcome.since };
  if (quote?.status === 'LAST_LOOK_REJECTED') return refusalFor(rfq, quote, quoteId);
  if (!isOpen(rfq.status)) return refusalFor(rfq, quote, quoteId);
  // Still quoting: a push may be older than our accept, so only an answer to it may settle it.
  return answered && outcome.kind !== 'unknown'
    ? { kind: 'working', quoteId, since: outcome.since }
    : outcome;
}

export function evolve(outcome: Outcome, event: OutcomeEvent): Outcome {
  if (event.type === 'cleared') return { kind: 'idle' };
  if (event.type === 'sent') {
    // One act at a time: a second press while one is pending changes nothing.
    return isPending(outcome)
      ? outcome
      : { kind: 'sending', quoteId: event.quoteId, since: event.at };
  }
  if (outcome.kind !== 'sending' && outcome.kind !== 'working' && outcome.kind !== 'unknown')
    return outcome;
  switch (event.type) {
    case 'saw':
      return settle(outcome, event.rfq, event.answered);
    case 'refused':
      return {
        kind: 'rejected',
        quoteId: outcome.quoteId,
        code: event.code,
        sentence: event.sentence,
        correlationId: event.correlationId,
      };
    case 'lost':
      return {
        kind: 'unknown',
        quoteId: outcome.quoteId,
        since: outcome.since,
        attempt: outcome.kind === 'unknown' ? outcome.attempt + 1 : 1,
        nextAt: event.nextAt,
      };
  }
}
