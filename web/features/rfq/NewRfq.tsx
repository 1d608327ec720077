import { useDealRefusal } from '@client/dealing';
import { useAge, useLive } from '@client/hooks';
import { useInstrument } from '@client/session';
import { parseSize } from '@model/notional';
import { spreadText, unitWord } from '@model/price';
import { T } from '@model/testids';
import { shortDay } from '@model/time';
import type { Instrument } from '@model/types';
import { AgeMark, Price } from '@ui/price';
import { Empty } from '@ui/states';
import { requestOf, sendRfq } from './acts';
import { CreationLine } from './CreationLine';
import { DraftForm } from './DraftForm';
import { useChoices } from './dealers';
import { type Draft, useTicket } from './store';
import { What } from './What';

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

export function NewRfq() {
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
