import { serverClock } from '@client/clock';
import { useConnection } from '@client/hooks';
import { useInstrument, useSession } from '@client/session';
import { fullSize } from '@model/notional';
import { isDealable, isOpen, isPending, type Outcome } from '@model/outcome';
import { consideration, priceText } from '@model/price';
import { T } from '@model/testids';
import { clock } from '@model/time';
import type { Instrument, Quote, Rfq } from '@model/types';
import { Button } from '@ui/controls';
import { useRef, useState } from 'react';
import { acceptQuote, cancelRfq, requote } from './acts';
import { ReasonDialog } from './ReasonDialog';
import type { Selection } from './selection';
import { useTicket } from './store';

interface Face {
  enabled: boolean;
  main: string;
  more: string;
}

function faceOfQuote(rfq: Rfq, of: Instrument, quote: Quote, selection: Selection): Face {
  const buy = rfq.side === 'BUY';
  const pays = consideration(quote.price, quote.size, of);
  const place =
    quote.quoteId === selection.bestId ? `best of ${selection.liveCount}` : 'not the best';
  return {
    enabled: true,
    main: `${buy ? 'Buy' : 'Sell'} ${fullSize(quote.size)} ${rfq.currency} at ${priceText(quote.price, of)}`,
    more: `${quote.lpName}, ${place}. ${buy ? 'Pays' : 'Receives'} ${pays ?? '–'} ${of.quoteCurrency}`,
  };
}

const ENDED: Partial<Record<Rfq['status'], string>> = {
  EXPIRED: 'Expired, no trade',
  CANCELLED: 'Cancelled, no trade',
  REJECTED: 'No trade',
  DENIED: 'Denied, never sent',
};

function closedFace(rfq: Rfq, of: Instrument, outcome: Outcome): Face | null {
  const off = (main: string, more: string): Face => ({ enabled: false, main, more });
  const accepted = rfq.quotes.find((q) => q.quoteId === rfq.acceptedQuoteId);
  const at = accepted ? `${accepted.lpName} ${priceText(accepted.price, of)}` : '';
  if (rfq.status === 'TRADED') {
    const word = rfq.side === 'BUY' ? 'Bought' : 'Sold';
    const size = fullSize(accepted?.size ?? rfq.size);
    return off(`${word} ${size} ${rfq.currency} at ${priceText(accepted?.price, of)}`, at);
  }
  if (!isOpen(rfq.status)) return off(ENDED[rfq.status] ?? 'Ended', of.symbol);
  if (outcome.kind === 'unknown') return off('Do not resend', 'The outcome is being checked');
  if (isPending(outcome) && 'since' in outcome) {
    return off(`Accept sent once, ${clock(outcome.since)}`, at);
  }
  if (rfq.status === 'ACCEPTED') return off('Accepted', `${at}, waiting for last look`);
  return null;
}

function useFace(
  rfq: Rfq,
  of: Instrument | undefined,
  quote: Quote | null,
  selection: Selection,
): Face {
  const outcome = useTicket((s) => s.outcomes[rfq.rfqId]) ?? { kind: 'idle' as const };
  const user = useSession((s) => s.me?.user);
  const may = useSession((s) => s.permissions.has('rfq.accept'));
  const linked = useConnection((c) => c.state === 'live');
  const off = (main: string, more: string): Face => ({ enabled: false, main, more });
  if (!of) return off('Unknown instrument', rfq.instrumentId);
  const closed = closedFace(rfq, of, outcome);
  if (closed) return closed;
  if (rfq.requester !== user) return off('Only the requester may accept', rfq.requester);
  if (!may) return off('Your role does not accept quotes', '');
  if (!linked) return off('Dealing off: no live prices', 'Turns on when the connection is back');
  if (!isDealable(rfq.status) || !quote)
    return off('Waiting for quotes', `${of.symbol}, nothing to accept yet`);
  return faceOfQuote(rfq, of, quote, selection);
}

/**
 * The one loud button. While the pointer or the focus is on it, it keeps standing for the quote it
 * named when they came: a better quote must not slip under a finger that is already moving.
 */
export function AcceptRow({ rfq, selection }: { rfq: Rfq; selection: Selection }) {
  const of = useInstrument(rfq.instrumentId);
  const user = useSession((s) => s.me?.user);
  const mayCreate = useSession((s) => s.permissions.has('rfq.create'));
  const sending = useTicket((s) => s.creation.kind === 'sending' || s.creation.kind === 'unknown');
  const cancelling = useTicket((s) => s.cancels[rfq.rfqId]?.kind === 'sending');
  const [held, setHeld] = useState<string | null>(null);
  const [asking, setAsking] = useState<{ quote: Quote; best: Quote } | null>(null);
  const over = useRef({ pointer: false, focus: false });
  const shown = (held && rfq.quotes.find((q) => q.quoteId === held)) || selection.quote;
  const face = useFace(rfq, of, shown, selection);
  const mine = rfq.requester === user;
  const buy = rfq.side === 'BUY';

  const hold = (by: 'pointer' | 'focus') => {
    over.current[by] = true;
    setHeld(selection.quote?.quoteId ?? null);
  };
  const release = (by: 'pointer' | 'focus') => {
    over.current[by] = false;
    if (!over.current.pointer && !over.current.focus) setHeld(null);
  };
  const gone = face.enabled && shown !== null && shown.quoteId === held && !isStillLive(shown, rfq);
  const press = () => {
    if (!shown || !of) return;
    if (gone) return setHeld(selection.quote?.quoteId ?? null);
    const best = rfq.quotes.find((q) => q.quoteId === selection.bestId);
    if (best && best.quoteId !== shown.quoteId) return setAsking({ quote: shown, best });
    void acceptQuote(rfq, shown, null);
  };
  const name = gone
    ? `${shown.lpName} is no longer dealable. Press to see the next best`
    : face.main;
  return (
    <div className="accept-row">
      <button
        type="button"
        className={`deal ${face.enabled && !gone ? (buy ? 'deal-buy' : 'deal-sell') : 'deal-send'}`}
        disabled={!face.enabled}
        data-testid={T.accept}
        data-quote-id={shown?.quoteId ?? ''}
        data-command="accept"
        onPointerEnter={() => hold('pointer')}
        onPointerLeave={() => release('pointer')}
        onFocus={() => hold('focus')}
        onBlur={() => release('focus')}
        onClick={press}
      >
        <span className="deal-main">{name}</span>
        <span className="deal-more">{gone ? 'Nothing is sent by this press' : face.more}</span>
      </button>
      {isOpen(rfq.status) && mine && (
        <Button
          testId={T.cancel}
          disabled={cancelling || rfq.status === 'ACCEPTED'}
          title={
            rfq.status === 'ACCEPTED' ? 'Too late: a quote is accepted' : 'Withdraw this request'
          }
          onClick={() => void cancelRfq(rfq.rfqId)}
        >
          Cancel RFQ
        </Button>
      )}
      {!isOpen(rfq.status) && mine && mayCreate && (
        <Button
          icon="retry"
          testId={T.requote}
          disabled={sending}
          title="Sends the same terms to the same dealers again"
          onClick={() => void requote(rfq)}
        >
          Requote
        </Button>
      )}
      {asking && of && (
        <ReasonDialog
          rfq={rfq}
          of={of}
          {...asking}
          onClose={() => setAsking(null)}
          onAccept={(reason) => {
            setAsking(null);
            void acceptQuote(rfq, asking.quote, reason);
          }}
        />
      )}
    </div>
  );
}

const isStillLive = (quote: Quote, rfq: Rfq): boolean =>
  rfq.quotes.some((q) => q.quoteId === quote.quoteId && q.status === 'QUOTED') &&
  Date.parse(quote.expiresAt) > serverClock.now();
