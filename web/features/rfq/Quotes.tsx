import { serverClock } from '@client/clock';
import { useConnection, useTicking } from '@client/hooks';
import { useInstrument } from '@client/session';
import { dec, grouped, must } from '@model/decimal';
import { shortSize } from '@model/notional';
import { NO_VALUE, signedUnits, unitShort } from '@model/price';
import { type QuoteCard, quoteCards, rankedOrder, reasonWords } from '@model/quotes';
import { T } from '@model/testids';
import type { Instrument, Rfq } from '@model/types';
import { Pill, type Tone } from '@ui/controls';
import type { IconName } from '@ui/icons';
import { Price } from '@ui/price';
import { memo, useRef } from 'react';
import { selectQuote } from './store';

const GONE = new Set(['passed', 'withdrawn', 'expired', 'rejected', 'lost', 'lapsed']);

interface Said {
  icon: IconName;
  tone: Tone;
  word: string;
}

function said(card: QuoteCard, best: QuoteCard | undefined, of: Instrument | undefined): Said {
  const given = card.quote?.reason ?? card.dealer?.reason;
  const reason = given ? reasonWords(given) : null;
  switch (card.status) {
    case 'quoted': {
      if (card.isBest) return { icon: 'diamond', tone: 'live', word: 'Best' };
      const mine = dec(card.quote?.price);
      const theirs = dec(best?.quote?.price);
      const away =
        mine && theirs && of
          ? signedUnits(mine.minus(theirs).abs().toFixed(), of, best?.quote?.price)
          : null;
      const tie = mine && theirs?.eq(mine);
      const place = tie
        ? 'same price, later'
        : away
          ? `${away} ${unitShort(of?.spreadUnit ?? 'pips')}`
          : 'quoted';
      return { icon: 'ring', tone: 'plain', word: `${card.rank ?? ''}. ${place}` };
    }
    case 'pending':
      return { icon: 'dashed', tone: 'plain', word: 'Pending' };
    case 'passed':
      return { icon: 'minus', tone: 'idle', word: reason ? `Passed: ${reason}` : 'Passed' };
    case 'withdrawn':
      return { icon: 'minus', tone: 'idle', word: 'Withdrawn' };
    case 'expired':
      return { icon: 'clock', tone: 'idle', word: 'Expired' };
    case 'rejected':
      return { icon: 'cross', tone: 'bad', word: 'Last look reject' };
    case 'accepting':
      return { icon: 'half', tone: 'live', word: 'Last look' };
    case 'won':
      return { icon: 'check', tone: 'ok', word: 'Won' };
    case 'lost':
      return { icon: 'minus', tone: 'idle', word: 'Lost' };
    case 'lapsed':
      return { icon: 'minus', tone: 'idle', word: card.quote ? 'Lapsed' : 'No answer' };
  }
}

const ENDING_MS = 3_000;

function TimeLeft({ card, life }: { card: QuoteCard; life: number }) {
  const ends = Date.parse(card.quote?.expiresAt ?? '');
  const live = card.status === 'quoted';
  const left = useTicking(
    (now) => (live ? Math.max(0, Math.floor((ends - now) / 100)) : -1),
    'fast',
  );
  if (!live) return <span className="num faint">{NO_VALUE}</span>;
  const ms = left * 100;
  return (
    <span className={`quote-left num ${ms < ENDING_MS ? 'left-warn' : ''}`}>
      {(left / 10).toFixed(1)} s
      <span className="left-bar" aria-hidden="true">
        <i style={{ transform: `scaleX(${life > 0 ? Math.min(1, ms / life) : 0})` }} />
      </span>
    </span>
  );
}

function cost(card: QuoteCard, of: Instrument): string {
  const distance = dec(card.quote?.spreadToMid);
  const size = dec(card.quote?.size);
  if (!distance || !size) return NO_VALUE;
  const perHundred = of.assetClass === 'RATES' || of.assetClass === 'CREDIT';
  return grouped(distance.times(size).div(must(perHundred ? 100 : 1)), 0);
}

interface CardProps {
  card: QuoteCard;
  best: QuoteCard | undefined;
  rfq: Rfq;
  of: Instrument;
  selected: boolean;
  frozen: boolean;
}

// Four digits fit; longer waits are said in seconds.
const replyText = (ms: number | null): string => {
  if (ms === null) return NO_VALUE;
  return ms < 9_999.5 ? `${Math.round(ms)} ms` : `${(ms / 1_000).toFixed(1)} s`;
};

const Card = memo(function Card({ card, best, rfq, of, selected, frozen }: CardProps) {
  const { quote } = card;
  const words = said(card, best, of);
  const gone = GONE.has(card.status);
  // How fast the dealer answered: a quote that replaced another came later for another reason.
  const reply = card.dealer?.responseMs ?? quote?.responseMs ?? null;
  const life = quote ? Date.parse(quote.expiresAt) - Date.parse(quote.receivedAt) : 0;
  const tone = card.status === 'rejected' ? 'void' : gone || frozen ? 'dim' : undefined;
  return (
    <button
      type="button"
      className={`quote ${selected ? 'quote-selected' : ''} ${gone ? 'quote-gone' : ''}`}
      aria-pressed={selected}
      data-testid={T.quoteCard(card.lpId)}
      data-status={card.status}
      data-rank={card.rank ?? ''}
      data-best={card.isBest}
      data-price={quote?.price ?? ''}
      data-quote-id={quote?.quoteId ?? ''}
      onClick={() => quote && card.status === 'quoted' && selectQuote(rfq.rfqId, quote.quoteId)}
    >
      <span className="quote-who">
        <span className="quote-name clip" title={card.name}>
          {card.name}
        </span>
        <span className="quote-state clip" title={words.word}>
          <Pill icon={words.icon} tone={words.tone}>
            {words.word}
          </Pill>
        </span>
      </span>
      <span className="num">
        {quote ? <Price value={quote.price} of={of} size="card" tone={tone} /> : NO_VALUE}
      </span>
      <span className="num">
        {signedUnits(quote?.spreadToMid, of, rfq.midAtRequest)}
        {quote?.spreadToMid && <span className="faint"> {unitShort(of.spreadUnit)}</span>}
      </span>
      <span className="num quote-cost">{cost(card, of)}</span>
      <span className="num">{quote ? shortSize(quote.size) : NO_VALUE}</span>
      <span className="num">{replyText(reply)}</span>
      <TimeLeft card={card} life={life} />
    </button>
  );
});

/**
 * Cards settle by rank while quotes arrive. From the moment the pointer or the focus has been
 * among them they keep their places for the life of the RFQ.
 */
export function Quotes({ rfq, selectedId }: { rfq: Rfq; selectedId: string | null }) {
  const of = useInstrument(rfq.instrumentId);
  const linked = useConnection((c) => c.state === 'live');
  const order = useRef<{ rfqId: string; ids: string[]; fixed: boolean }>({
    rfqId: '',
    ids: [],
    fixed: false,
  });
  // Only a change of somebody's status or rank redraws the list; the clocks redraw themselves.
  useTicking(
    (now) =>
      quoteCards(rfq, now)
        .map((c) => `${c.lpId}${c.status}${c.rank}`)
        .join(),
    'fast',
  );
  const now = serverClock.now();
  if (order.current.rfqId !== rfq.rfqId)
    order.current = { rfqId: rfq.rfqId, ids: [], fixed: false };
  if (!order.current.fixed && ['CREATED', 'SENT', 'QUOTING'].includes(rfq.status)) {
    order.current.ids = rankedOrder(rfq, now);
  }
  const fix = () => {
    order.current.fixed = true;
  };
  if (!of) return null;
  const cards = quoteCards(rfq, now, order.current.ids);
  const best = cards.find((c) => c.isBest);
  return (
    <>
      <div className="quote-head" aria-hidden="true">
        <span>Dealer</span>
        <span className="right">All-in price</span>
        <span className="right">To mid</span>
        <span className="right quote-cost">Cost {of.quoteCurrency}</span>
        <span className="right">Size</span>
        <span className="right">Reply</span>
        <span className="right">Left</span>
      </div>
      {/* biome-ignore lint/a11y/useSemanticElements: cards are pressed, not submitted */}
      <div
        className="quote-list"
        role="group"
        aria-label="Quotes"
        data-testid={T.quoteList}
        data-scope="quotes"
        onPointerEnter={fix}
        onFocus={fix}
      >
        {cards.map((card) => (
          <Card
            key={card.lpId}
            card={card}
            best={best}
            rfq={rfq}
            of={of}
            selected={card.quote !== null && card.quote.quoteId === selectedId}
            frozen={!linked}
          />
        ))}
      </div>
    </>
  );
}
