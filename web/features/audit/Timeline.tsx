import { dealerName } from '@client/dealers';
import { type TimelineSubject, useDesk } from '@client/desk';
import { asApiError } from '@client/problem';
import { rfqs } from '@client/records';
import { api } from '@client/rest';
import { downloadText } from '@grid/download';
import { isOpen } from '@model/outcome';
import { T } from '@model/testids';
import { clockOf, millis } from '@model/time';
import type { AuditItem } from '@model/types';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Button, CopyButton } from '@ui/controls';
import { Icon, type IconName } from '@ui/icons';
import { Empty, Failed, Loading } from '@ui/states';
import { useEffect, useState } from 'react';
import { useStore } from 'zustand';

const ICONS: [RegExp, IconName][] = [
  [/Denied|Rejected$/, 'cross'],
  [/LastLookPassed/, 'eye'],
  [/QuoteReceived/, 'ring'],
  [/Declined|Cancelled|Withdrawn|Discarded/, 'minus'],
  [/Expired/, 'clock'],
  [/Sent|Requested/, 'arrow'],
  [/TradeExecuted/, 'diamond'],
  [/Risk|Limit/, 'shield'],
  [/Traded|Confirmed/, 'check'],
];

const iconOf = (eventType: string): IconName =>
  ICONS.find(([pattern]) => pattern.test(eventType))?.[1] ?? 'dot';

const GROUP = /\B(?=(\d{3})+(?!\d))/g;
function offsetText(ms: number): string {
  // Past ten seconds a tenth of a millisecond says nothing and does not fit.
  const [whole = '0', part] = Math.abs(ms)
    .toFixed(Math.abs(ms) < 10_000 ? 1 : 0)
    .split('.');
  return `${ms < 0 ? '−' : '+'}${whole.replace(GROUP, ',')}${part === undefined ? '' : `.${part}`}`;
}

// A wait this long is a person deciding, not a machine working.
const HUMAN_MS = 1_000;

function Payload({ item }: { item: AuditItem }) {
  const text = JSON.stringify(item.payload, null, 2);
  return (
    <section className="event-payload" data-testid={T.timelinePayload}>
      <header>
        <span className="clip">
          {clockOf(item.occurredAt)} UTC, {item.entity.entityType} {item.entity.sequence}
        </span>
        <span className="spring" />
        <CopyButton text={item.eventId} label="Copy event id" />
        <CopyButton text={text} label="Copy payload" testId={T.timelineCopy} />
      </header>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it */}
      <pre tabIndex={0}>{text}</pre>
    </section>
  );
}

// People know a dealer by its name, events by its id.
const DEALER_ID = /\b[A-Z][A-Z0-9_]{3,}\b/g;

function Event({ item, previous }: { item: AuditItem; previous: AuditItem | undefined }) {
  const [open, setOpen] = useState(false);
  const summary = item.summary.replace(DEALER_ID, (id) => dealerName(id) ?? id);
  const wait = previous ? item.offsetMs - previous.offsetMs : 0;
  return (
    <>
      {wait >= HUMAN_MS && (
        <li className="event event-gap">
          <span className="event-row">
            <span />
            <span />
            <span className="clip">{offsetText(wait).slice(1)} ms without an event</span>
          </span>
        </li>
      )}
      <li
        className={`event ${open ? 'event-open' : ''}`}
        data-testid={T.timelineEvent}
        data-event-type={item.eventType}
        data-service={item.service}
        data-offset={item.offset}
      >
        <button
          type="button"
          className="event-row"
          aria-expanded={open}
          title={open ? 'Hide the payload' : 'Show the payload'}
          onClick={() => setOpen(!open)}
        >
          <span className="event-offset">{offsetText(item.offsetMs)}</span>
          <span className="event-node">
            <Icon name={iconOf(item.eventType)} />
          </span>
          <span style={{ minWidth: 0 }}>
            <span className="event-one">
              <span className="event-name">{item.eventType}</span>
              <span className="clip dim" title={summary}>
                {summary}
              </span>
              <span className="event-service">{item.service}</span>
            </span>
            <span className="event-two mono">
              <span>{item.eventId.slice(0, 8)}</span>
              <span className="clip">{item.topic}</span>
              <span>
                {item.partition}/{item.offset}
              </span>
            </span>
          </span>
        </button>
        {open && <Payload item={item} />}
      </li>
    </>
  );
}

const REFETCH_MS = 1_000;
const SETTLE_MS = 10_000;

/** Events go on for a moment after the RFQ has ended: keep asking while it is open or just ended. */
function useAudit(subject: TimelineSubject) {
  const client = useQueryClient();
  const key = ['audit', subject.correlationId];
  const rfq = useStore(rfqs.store, (s) =>
    [...s.byId.values()].find((r) => r.correlationId === subject.correlationId),
  );
  const seen = rfq ? `${rfq.version}.${rfq.quotes.length}.${rfq.status}` : '';
  const endedAt = millis(rfq?.endedAt);
  const query = useQuery({
    queryKey: key,
    queryFn: async () => (await api.audit(subject.correlationId)).items,
    staleTime: 0,
    refetchInterval: () =>
      rfq && (isOpen(rfq.status) || (endedAt !== null && Date.now() - endedAt < SETTLE_MS))
        ? REFETCH_MS
        : false,
  });
  // biome-ignore lint/correctness/useExhaustiveDependencies: `seen` is what must cause it
  useEffect(() => {
    void client.invalidateQueries({ queryKey: ['audit', subject.correlationId] });
  }, [seen, client, subject.correlationId]);
  return query;
}

function Story({ subject }: { subject: TimelineSubject }) {
  const { data, error, isPending, refetch } = useAudit(subject);
  if (error && !data) {
    const failure = asApiError(error);
    return (
      <Failed
        what="the time line"
        sentence={failure.message}
        traceId={failure.traceId}
        onRetry={() => void refetch()}
      />
    );
  }
  if (isPending) return <Loading what="the time line" rows={8} />;
  const items = data ?? [];
  const first = items[0];
  const buy = subject.side === 'BUY';
  return (
    <>
      <div className="timeline-sum">
        <div>
          <span className="strong" style={{ fontSize: 13 }}>
            {subject.displayId}
          </span>
          <span className="clip">
            <span className={`strong ${buy ? 'tone-buy' : 'tone-sell'}`}>
              {buy ? 'Buy' : 'Sell'}
            </span>{' '}
            {subject.text}
          </span>
          <span className="spring" />
          <Button
            small
            kind="bare"
            icon="download"
            title="Download all events as JSON"
            disabled={items.length === 0}
            onClick={() =>
              downloadText(
                `timeline-${subject.displayId}.json`,
                JSON.stringify({ correlationId: subject.correlationId, items }, null, 2),
                'application/json',
              )
            }
          >
            Export
          </Button>
        </div>
        <div className="small faint">
          <span className="mono clip timeline-id" title={subject.correlationId}>
            {subject.correlationId}
          </span>
          <CopyButton text={subject.correlationId} label="Copy correlation id" />
          <span className="clip">
            {items.length} {items.length === 1 ? 'event' : 'events'}
            {first && `, ms from ${clockOf(first.occurredAt)} UTC`}
          </span>
        </div>
      </div>
      {items.length === 0 ? (
        <Empty title="Nothing is recorded yet">
          Events arrive here a moment after they happen.
        </Empty>
      ) : (
        <ol
          className="timeline-list"
          data-testid={T.timeline}
          data-correlation-id={subject.correlationId}
        >
          {items.map((item, i) => (
            <Event key={item.eventId} item={item} previous={items[i - 1]} />
          ))}
        </ol>
      )}
    </>
  );
}

export function Timeline() {
  const subject = useDesk((d) => d.timeline);
  if (!subject) {
    return (
      <Empty title="No story chosen">
        Press a row in the RFQ or trade blotter: what every service did with it stands here, in
        order.
      </Empty>
    );
  }
  return <Story key={subject.correlationId} subject={subject} />;
}
