import { roleRefusal } from '@client/dealing';
import { showChart } from '@client/desk';
import { useTicking } from '@client/hooks';
import { rfqs } from '@client/records';
import { useCan, useInstrument } from '@client/session';
import { countdown } from '@model/countdown';
import { fullSize } from '@model/notional';
import { isOpen } from '@model/outcome';
import { priceText } from '@model/price';
import { dealersQuoted } from '@model/quotes';
import { T } from '@model/testids';
import { millis, shortDay } from '@model/time';
import type { Rfq } from '@model/types';
import { Pill, type Tone } from '@ui/controls';
import type { IconName } from '@ui/icons';
import { Empty, Loading } from '@ui/states';
import { useEffect } from 'react';
import { useStore } from 'zustand';
import { AcceptRow } from './AcceptRow';
import { NewRfq } from './NewRfq';
import { OutcomeLine } from './OutcomeLine';
import { Quotes } from './Quotes';
import { SentForm } from './SentForm';
import { useSelection } from './selection';
import { useTicket } from './store';
import { What } from './What';

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

export function Ticket() {
  const active = useTicket((s) => s.active);
  const rfq = useStore(rfqs.store, (s) => (active ? s.byId.get(active) : undefined));
  const instrumentId = rfq?.instrumentId;
  useEffect(() => {
    if (instrumentId) showChart(instrumentId);
  }, [instrumentId]);
  const deals = useCan('rfq.create');
  if (active === null && !deals) {
    return (
      <Empty title="No RFQ chosen">
        Press an open RFQ in the blotter: its terms and quotes stand here. {roleRefusal()}.
      </Empty>
    );
  }
  if (active === null) return <NewRfq />;
  if (!rfq) return <Loading what="the RFQ" />;
  return <Sent key={rfq.rfqId} rfq={rfq} />;
}
