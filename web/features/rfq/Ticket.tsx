import { useDealRefusal } from '@client/dealing';
import { showChart } from '@client/desk';
import { useAge, useLive, useTicking } from '@client/hooks';
import { rfqs } from '@client/records';
import { useInstrument } from '@client/session';
import { countdown } from '@model/countdown';
import { fullSize, parseSize } from '@model/notional';
import { isOpen } from '@model/outcome';
import { priceText, spreadText, unitWord } from '@model/price';
import { dealersQuoted } from '@model/quotes';
import { T } from '@model/testids';
import { millis, shortDay } from '@model/time';
import type { Instrument, Rfq } from '@model/types';
import { Pill, type Tone } from '@ui/controls';
import type { IconName } from '@ui/icons';
import { AgeMark, Price } from '@ui/price';
import { Empty, Loading } from '@ui/states';
import { useEffect } from 'react';
import { useStore } from 'zustand';
import { AcceptRow } from './AcceptRow';
import { requestOf, sendRfq } from './acts';
import { DraftForm } from './DraftForm';
import { useChoices } from './dealers';
import { CreationLine, OutcomeLine } from './OutcomeLine';
import { Quotes } from './Quotes';
import { SentForm } from './SentForm';
import { useSelection } from './selection';
import { type Draft, useTicket } from './store';

const CIRCLE = 2 * Math.PI * 14;

function Countdown({ rfq }: { rfq: Rfq }) {
  const ends = millis(rfq.expiresAt) ?? 0;
  const total = rfq.expirySeconds * 1000;
  const tenths = useTicking((now) => Math.ceil(Math.max(0, ends - now) / 100), 'fast');
  const { share, text, urgency, leftMs } = countdown(tenths * 100, total, 0);
  return (
    <span
      className={`countdown count-${urgency}`}
      data-testid={T.countdown}
      data-left-ms={leftMs}
      role="timer"
    >
      <svg className={`count-ring count-${urgency}`} viewBox="0 0 32 32" aria-hidden="true">
        <circle cx="16" cy="16" r="14" />
        <circle
          className="arc"
          cx="16"
          cy="16"
          r="14"
          strokeDasharray={`${share * CIRCLE} ${CIRCLE}`}
        />
      </svg>
      <span className="left">{text}</span>
      <span className="small faint">s of {rfq.expirySeconds} s</span>
    </span>
  );
}

const STATUS: Record<Rfq['status'], { icon: IconName; tone: Tone; word: string }> = {
  CREATED: { icon: 'arrow', tone: 'plain', word: 'Created' },
  SENT: { icon: 'arrow', tone: 'live', word: 'Sent' },
  QUOTING: { icon: 'half', tone: 'live', word: 'Quoting' },
  ACCEPTED: { icon: 'half', tone: 'warn', word: 'Accepting' },
  TRADED: { icon: 'check', tone: 'ok', word: 'Done' },
  REJECTED: { icon: 'cross', tone: 'bad', word: 'Rejected' },
  DENIED: { icon: 'ban', tone: 'bad', word: 'Denied' },
  EXPIRED: { icon: 'clock', tone: 'idle', word: 'Expired' },
  CANCELLED: { icon: 'minus', tone: 'idle', word: 'Cancelled' },
};

function What({ side, size, unit }: { side: Rfq['side'] | null; size: string; unit: string }) {
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

function Sent({ rfq }: { rfq: Rfq }) {
  const of = useInstrument(rfq.instrumentId);
  const selection = useSelection(rfq);
  const asked = rfq.dealers.filter((d) => d.status !== 'EXCLUDED').length;
  const status = STATUS[rfq.status];
  return (
    <div className="ticket">
      <div className="ticket-sum">
        <What
          side={rfq.side}
          size={fullSize(rfq.size)}
          unit={of?.assetClass === 'EQUITY' ? 'shares' : rfq.currency}
        />
        <span className="two-lines clip">
          <span className="dim clip">
            {of?.symbol ?? rfq.instrumentId}, {shortDay(rfq.settlementDate, true)}
          </span>
          <span className="small faint">Mid at request {priceText(rfq.midAtRequest, of)}</span>
        </span>
        <span className="spring" />
        <span className="two-lines right">
          <span className="strong" data-testid={T.rfqDisplayId}>
            {rfq.displayId}
          </span>
          <span className="small faint">
            {isOpen(rfq.status)
              ? `${selection.liveCount} of ${asked} live`
              : `${dealersQuoted(rfq)} of ${asked} quoted`}
          </span>
        </span>
        <span data-testid={T.rfqStatus} data-status={rfq.status}>
          {rfq.status === 'QUOTING' || rfq.status === 'SENT' || rfq.status === 'CREATED' ? (
            <Countdown rfq={rfq} />
          ) : (
            <Pill boxed icon={status.icon} tone={status.tone}>
              {status.word}
            </Pill>
          )}
        </span>
      </div>
      <div className="ticket-two">
        <SentForm rfq={rfq} />
        <div className="quotes">
          <Quotes rfq={rfq} selectedId={selection.quote?.quoteId ?? null} />
          <div className="quote-rest" />
          <AcceptRow rfq={rfq} selection={selection} />
          <OutcomeLine rfq={rfq} />
        </div>
      </div>
    </div>
  );
}

/** The market as it is now, beside the form, so that the draft is judged against it. */
function MarketNow({ of }: { of: Instrument }) {
  const live = useLive(of.instrumentId);
  const age = useAge(of);
  return (
    <div className="market-now">
      <span className="faint small">Bid</span>
      <span className="faint small">Ask</span>
      <span className="faint small">Spread</span>
      <Price
        value={live?.tick.bid}
        of={of}
        size="card"
        tone={age.state === 'red' ? 'dim' : undefined}
      />
      <Price
        value={live?.tick.ask}
        of={of}
        size="card"
        tone={age.state === 'red' ? 'dim' : undefined}
      />
      <span>
        <span className="num">{spreadText(live?.tick.bid, live?.tick.ask, of)}</span>{' '}
        <span className="faint">{unitWord(of.spreadUnit)}</span>
        <span style={{ float: 'right' }}>
          <AgeMark {...age} />
        </span>
      </span>
    </div>
  );
}

function sendFace(draft: Draft, of: Instrument | undefined, chosen: number, busy: boolean) {
  const size = parseSize(draft.size, of);
  const word = draft.side === 'SELL' ? 'sell' : 'buy';
  const unit = of?.assetClass === 'EQUITY' ? 'shares' : (of?.currency ?? '');
  return {
    main: busy ? 'Sent once' : 'Send RFQ',
    more: size.ok
      ? `To ${word} ${size.echo} ${unit}, ${chosen} dealers, ${draft.expirySeconds} s`
      : '',
  };
}

function NewRfq() {
  const draft = useTicket((s) => s.draft);
  const busy = useTicket((s) => s.creation.kind === 'sending' || s.creation.kind === 'unknown');
  const of = useInstrument(draft.instrumentId);
  const choices = useChoices(draft);
  const off = useDealRefusal(of);
  const chosen = choices.filter((c) => c.chosen).map((c) => c.dealer.lpId);
  const all = choices.every((c) => c.chosen || c.off !== null);
  const request = requestOf(draft, chosen, all);
  const refusal = off ?? (typeof request === 'string' ? request : null);
  const face = sendFace(draft, of, chosen.length, busy);
  const size = parseSize(draft.size, of);
  return (
    <div className="ticket">
      <div className="ticket-sum">
        <What
          side={draft.side}
          size={size.ok ? size.echo : ''}
          unit={
            size.ok ? (of?.assetClass === 'EQUITY' ? 'shares' : (of?.currency ?? '')) : 'New RFQ'
          }
        />
        {of && (
          <span className="two-lines clip">
            <span className="dim clip">
              {of.symbol}, {shortDay(of.settlementDate, true)}
            </span>
            <span className="small faint clip">
              {of.displayName}, {of.settlementCycle}
            </span>
          </span>
        )}
      </div>
      <div className="ticket-two">
        <DraftForm draft={draft} />
        <div className="quotes">
          <div className="quote-rest">
            {of ? (
              <MarketNow of={of} />
            ) : (
              <Empty title="Choose an instrument">
                Type a symbol on the left, or press a price in the market watch or on a tile.
              </Empty>
            )}
          </div>
          <div className="accept-row" style={{ gridTemplateColumns: '1fr' }}>
            <button
              type="button"
              className="deal deal-send"
              disabled={busy || refusal !== null}
              data-testid={T.ticketSend}
              data-command="send"
              onClick={() => typeof request !== 'string' && void sendRfq(request)}
            >
              <span className="deal-main">{!busy && refusal ? refusal : face.main}</span>
              <span className="deal-more">
                {!busy && refusal ? 'Nothing can be sent yet' : face.more}
              </span>
            </button>
          </div>
          <CreationLine />
        </div>
      </div>
    </div>
  );
}

export function Ticket() {
  const active = useTicket((s) => s.active);
  const rfq = useStore(rfqs.store, (s) => (active ? s.byId.get(active) : undefined));
  const instrumentId = rfq?.instrumentId;
  useEffect(() => {
    if (instrumentId) showChart(instrumentId);
  }, [instrumentId]);
  if (active === null) return <NewRfq />;
  if (!rfq) return <Loading what="the RFQ" />;
  return <Sent key={rfq.rfqId} rfq={rfq} />;
}
