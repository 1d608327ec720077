import { useConnection, useTicking } from '@client/hooks';
import { useInstrument } from '@client/session';
import { dec, grouped } from '@model/decimal';
import { type Outcome, SLOW_AFTER_MS } from '@model/outcome';
import { inUnits, unitShort } from '@model/price';
import { compareQuotes, dealersQuoted } from '@model/quotes';
import { clock, clockOf } from '@model/time';
import type { Instrument, Rfq } from '@model/types';
import { Line } from './Line';
import { useTicket } from './store';

/** How much better than the next quote the traded one was: the cover. */
function coverText(rfq: Rfq, of: Instrument | undefined): string {
  const won = rfq.quotes.find((q) => q.quoteId === rfq.acceptedQuoteId);
  if (!won || !of) return '';
  const [cover] = rfq.quotes
    .filter((q) => q.quoteId !== won.quoteId && q.status === 'LOST')
    .sort((a, b) => compareQuotes(a, b, rfq.side));
  const a = dec(won.price);
  const b = dec(cover?.price);
  if (!a || !b) return '';
  const units = inUnits(rfq.side === 'BUY' ? b.minus(a) : a.minus(b), of, won.price);
  if (!units || units.isZero()) return ', level with cover';
  const side = units.gt(0) ? 'inside' : 'outside';
  return `, ${grouped(units.abs(), units.times(10).isInteger() ? 1 : 2)} ${unitShort(of.spreadUnit)} ${side} cover`;
}

function Pending({ rfq, outcome }: { rfq: Rfq; outcome: Extract<Outcome, { since: number }> }) {
  const tenths = useTicking((now) => Math.max(0, Math.floor((now - outcome.since) / 100)), 'fast');
  const quote = rfq.quotes.find((q) => q.quoteId === outcome.quoteId);
  const who = quote?.lpName ?? 'the dealer';
  const spent = (tenths / 10).toFixed(1);
  if (outcome.kind === 'unknown') {
    return (
      <Line look="warn" icon="help" name="unknown" copy={rfq.correlationId}>
        <b>Unknown: do not resend; checking…</b> Attempt {outcome.attempt}
      </Line>
    );
  }
  if (tenths * 100 >= SLOW_AFTER_MS) {
    return (
      <Line look="warn" icon="clock" name={outcome.kind}>
        <b>Working {spent} s: taking longer than usual.</b> Still waiting for {who}
      </Line>
    );
  }
  if (outcome.kind === 'sending') {
    return (
      <Line look="plain" icon="half" name="sending">
        <b>Sending</b> accept to {who}, sent once at {clock(outcome.since)}
      </Line>
    );
  }
  return (
    <Line look="plain" icon="half" name="working">
      <b>Working {spent} s</b> {rfq.lastLook ? `${who} has last look` : 'Waiting for the trade'}
    </Line>
  );
}

function Ended({ rfq }: { rfq: Rfq }) {
  const of = useInstrument(rfq.instrumentId);
  const at = clockOf(rfq.endedAt);
  switch (rfq.status) {
    case 'TRADED':
      return (
        <Line look="ok" icon="check" name="done" rfq={rfq}>
          <b>{rfq.tradeDisplayId ?? 'Done'}</b> done at {at}
          {coverText(rfq, of)}
        </Line>
      );
    case 'REJECTED':
    case 'DENIED':
      return (
        <Line
          look="bad"
          icon={rfq.status === 'DENIED' ? 'ban' : 'cross'}
          name="rejected"
          rfq={rfq}
          copy={rfq.correlationId}
        >
          <b>
            {rfq.status === 'DENIED' ? 'Denied' : 'Rejected'} {rfq.reasonCode ?? ''}
          </b>{' '}
          {rfq.reason ?? 'No trade'}
        </Line>
      );
    case 'EXPIRED':
      return (
        <Line look="plain" icon="clock" name="expired" rfq={rfq}>
          <b>Expired</b> at {at}. No trade.
        </Line>
      );
    case 'CANCELLED':
      return (
        <Line look="plain" icon="minus" name="cancelled" rfq={rfq}>
          <b>Cancelled</b> at {at}. No trade.
        </Line>
      );
    default:
      return null;
  }
}

function LastReject({ rfq }: { rfq: Rfq }) {
  const rejected = rfq.quotes.filter((q) => q.status === 'LAST_LOOK_REJECTED').at(-1);
  if (!rejected) {
    const answered = dealersQuoted(rfq);
    const asked = rfq.dealers.filter((d) => d.status !== 'EXCLUDED').length;
    return (
      <Line look="plain" icon="ring" name="idle">
        {answered} of {asked} dealers have quoted
      </Line>
    );
  }
  return (
    <Line look="bad" icon="cross" name="rejected" rfq={rfq}>
      <b>{rfq.reasonCode ?? 'Rejected'}</b> {rejected.lpName} rejected at last look. No trade; still
      open.
    </Line>
  );
}

export function OutcomeLine({ rfq }: { rfq: Rfq }) {
  const outcome = useTicket((s) => s.outcomes[rfq.rfqId]) ?? { kind: 'idle' as const };
  const cancel = useTicket((s) => s.cancels[rfq.rfqId]);
  const lostAt = useConnection((c) =>
    c.state === 'live' || c.state === 'connecting' ? null : c.lastFrameAt,
  );
  const ended = ['TRADED', 'REJECTED', 'DENIED', 'EXPIRED', 'CANCELLED'].includes(rfq.status);
  if (
    !ended &&
    (outcome.kind === 'sending' || outcome.kind === 'working' || outcome.kind === 'unknown')
  ) {
    return <Pending rfq={rfq} outcome={outcome} />;
  }
  if (outcome.kind === 'rejected' && rfq.status !== 'TRADED') {
    return (
      <Line look="bad" icon="cross" name="rejected" rfq={rfq} copy={outcome.correlationId}>
        <b>Rejected {outcome.code}</b> {outcome.sentence}
      </Line>
    );
  }
  if (ended) return <Ended rfq={rfq} />;
  if (cancel) {
    return (
      <Line
        look={cancel.kind === 'failed' ? 'bad' : 'plain'}
        icon={cancel.kind === 'failed' ? 'cross' : 'half'}
        name={`cancel-${cancel.kind}`}
      >
        {cancel.kind === 'failed'
          ? `Not cancelled: ${cancel.code} ${cancel.sentence}`
          : 'Cancelling'}
      </Line>
    );
  }
  if (lostAt !== null) {
    return (
      <Line look="warn" icon="offline" name="frozen">
        Quotes shown are from {clock(lostAt)}. Reconnecting.
      </Line>
    );
  }
  return <LastReject rfq={rfq} />;
}
