import { useDealRefusal } from '@client/dealing';
import { prefillTicket } from '@client/desk';
import { useAge, useLive } from '@client/hooks';
import { keep, preferences, usePreferences } from '@client/preferences';
import { useCan, useSession } from '@client/session';
import { parseSize } from '@model/notional';
import { spreadText, unitWord } from '@model/price';
import { T } from '@model/testids';
import { shortDay } from '@model/time';
import type { Instrument, Side } from '@model/types';
import { Button, Field } from '@ui/controls';
import { Icon } from '@ui/icons';
import { AgeMark, Price } from '@ui/price';
import { Empty } from '@ui/states';
import { memo, useState } from 'react';
import { Arrow } from './parts';
import { useWatchlist } from './watchlists';

function SideButton({
  of,
  side,
  size,
  off,
}: {
  of: Instrument;
  side: Side;
  size: string | null;
  off: boolean;
}) {
  const live = useLive(of.instrumentId);
  const sell = side === 'SELL';
  const what =
    of.assetClass === 'FX' ? of.currency : of.assetClass === 'RATES' ? of.tenor : of.symbol;
  return (
    <button
      type="button"
      className={`side-btn ${sell ? 'side-sell' : 'side-buy'}`}
      disabled={off}
      title="Fills the ticket; sends nothing"
      data-testid={sell ? T.tileSell(of.instrumentId) : T.tileBuy(of.instrumentId)}
      onClick={() => prefillTicket(of.instrumentId, side, size)}
    >
      <span className="label clip">
        {sell ? 'Sell' : 'Buy'} {what}
      </span>
      <Price
        value={sell ? live?.tick.bid : live?.tick.ask}
        of={of}
        size="tile"
        tone={off ? 'dim' : undefined}
      />
    </button>
  );
}

function Middle({ of }: { of: Instrument }) {
  const live = useLive(of.instrumentId);
  return (
    <div className="tile-middle">
      <Arrow direction={live?.direction} />
      <span className="strong">{spreadText(live?.tick.bid, live?.tick.ask, of)}</span>
      <span className="faint">{unitWord(of.spreadUnit)}</span>
    </div>
  );
}

const tenorWord = (of: Instrument): string =>
  of.assetClass === 'FX' && of.tenor === 'SPOT' ? 'Spot' : of.settlementCycle;

export const Tile = memo(function Tile({ of }: { of: Instrument }) {
  const age = useAge(of);
  const refusal = useDealRefusal(of);
  const deals = useCan('rfq.create');
  const kept = usePreferences((k) => k.tileSizes?.[of.instrumentId]);
  const [text, setText] = useState(kept ?? '');
  const parsed = parseSize(text, of);
  const bad = !parsed.ok && !parsed.empty;
  const size = parsed.ok ? text.trim() : null;
  const leave = () => {
    if (bad) return;
    const tileSizes = { ...preferences.getState().kept.tileSizes, [of.instrumentId]: text.trim() };
    if (text.trim() !== (kept ?? '')) keep({ tileSizes });
  };
  return (
    <article className="tile" aria-label={of.symbol} data-testid={T.tile(of.instrumentId)}>
      <div className="tile-head">
        <span className="tile-name clip">{of.symbol}</span>
        <span className="faint small clip">
          {tenorWord(of)} {shortDay(of.settlementDate)}
        </span>
        <span className="spring" />
        <AgeMark {...age} />
      </div>
      <div className="tile-prices">
        <SideButton of={of} side="SELL" size={size} off={refusal !== null} />
        <Middle of={of} />
        <SideButton of={of} side="BUY" size={size} off={refusal !== null} />
      </div>
      <div className="tile-foot">
        {refusal ? (
          <span
            className={`why ${deals ? '' : 'why-role'}`}
            data-testid={T.tileReason(of.instrumentId)}
          >
            <Icon name="lock" />
            <span className="clip">{refusal}</span>
          </span>
        ) : (
          <>
            <Field
              bad={bad}
              aria-label={`Size in ${of.sizeUnit}`}
              placeholder="Size"
              value={text}
              testId={T.tileSize(of.instrumentId)}
              onChange={(event) => setText(event.target.value)}
              onBlur={leave}
            />
            <span className={`echo clip ${bad ? 'tone-bad' : ''}`}>
              {parsed.ok ? `= ${parsed.echo}` : parsed.empty ? of.sizeUnit : parsed.message}
            </span>
            <span className="spring" />
            <Button
              small
              disabled={bad}
              title="Fills the ticket; sends nothing"
              testId={T.tileRfq(of.instrumentId)}
              onClick={() => prefillTicket(of.instrumentId, null, size)}
            >
              RFQ
            </Button>
          </>
        )}
      </div>
    </article>
  );
});

const MOST = 4;

/** The pinned instruments of the list, then its first ones while there is room. */
export function Tiles() {
  const { pinned, instrumentIds } = useWatchlist();
  const instruments = useSession((s) => s.instruments);
  const chosen = [...new Set([...pinned, ...instrumentIds])];
  const shown = chosen.flatMap((id) => instruments.get(id) ?? []).slice(0, MOST);
  if (shown.length === 0) {
    return (
      <Empty title="This list is empty">
        Add instruments in the market watch; the pinned ones, or else the first ones, stand here.
      </Empty>
    );
  }
  return (
    <div className="tiles">
      {shown.map((of) => (
        <Tile key={of.instrumentId} of={of} />
      ))}
    </div>
  );
}
