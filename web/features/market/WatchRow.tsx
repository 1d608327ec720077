import { dealRefusal } from '@client/dealing';
import { desk, prefillTicket, showChart, useDesk } from '@client/desk';
import { useAge, useLive } from '@client/hooks';
import { useCan } from '@client/session';
import { priceText, spreadText } from '@model/price';
import { T } from '@model/testids';
import type { Instrument, Side } from '@model/types';
import { IconButton } from '@ui/controls';
import { Menu, MenuItem, MenuLine } from '@ui/layers';
import { AgeMark, Price } from '@ui/price';
import { memo } from 'react';
import { Arrow, FlagMark, Flash, Sparkline } from './parts';

export interface RowActs {
  togglePin: (instrumentId: string) => void;
  remove: ((instrumentId: string) => void) | null;
  move: ((instrumentId: string, by: -1 | 1) => void) | null;
}

interface RowProps {
  of: Instrument;
  pinned: boolean;
  acts: RowActs;
}

function PriceCell({ of, side }: { of: Instrument; side: Side }) {
  const live = useLive(of.instrumentId);
  const age = useAge(of);
  const price = side === 'SELL' ? live?.tick.bid : live?.tick.ask;
  const word = side === 'SELL' ? 'Sell' : 'Buy';
  const deals = useCan('rfq.create');
  return (
    <button
      type="button"
      className="price-cell"
      tabIndex={-1}
      title={
        deals
          ? `${word} ${of.symbol} at ${priceText(price, of)}: fills the ticket, sends nothing`
          : `${of.symbol} ${priceText(price, of)}: shows its chart`
      }
      data-testid={side === 'SELL' ? T.watchBid(of.instrumentId) : T.watchAsk(of.instrumentId)}
      onClick={() =>
        deals ? prefillTicket(of.instrumentId, side, null) : showChart(of.instrumentId)
      }
    >
      <Flash live={live} />
      <Price value={price} of={of} tone={age.state === 'red' ? 'dim' : undefined} />
    </button>
  );
}

function RowMenu({ of, pinned, acts }: RowProps) {
  const { remove, move } = acts;
  return (
    <Menu
      label={`${of.symbol} actions`}
      trigger={<IconButton className="watch-more" icon="more" label={`${of.symbol} actions`} />}
    >
      <MenuItem
        icon="arrow"
        refusal={dealRefusal(of)}
        onSelect={() => prefillTicket(of.instrumentId, null, null)}
      >
        New RFQ
      </MenuItem>
      <MenuItem icon="eye" onSelect={() => showChart(of.instrumentId)}>
        Show spread chart
      </MenuItem>
      <MenuItem icon="pin" onSelect={() => acts.togglePin(of.instrumentId)}>
        {pinned ? 'Unpin' : 'Pin'}
      </MenuItem>
      {(move || remove) && <MenuLine />}
      {move && (
        <MenuItem hint="Alt ↑" onSelect={() => move(of.instrumentId, -1)}>
          Move up
        </MenuItem>
      )}
      {move && (
        <MenuItem hint="Alt ↓" onSelect={() => move(of.instrumentId, 1)}>
          Move down
        </MenuItem>
      )}
      {remove && (
        <MenuItem icon="cross" onSelect={() => remove(of.instrumentId)}>
          Remove from list
        </MenuItem>
      )}
    </Menu>
  );
}

function Values({ of }: { of: Instrument }) {
  const live = useLive(of.instrumentId);
  return (
    <>
      <span className="num dim watch-mid">{priceText(live?.tick.mid, of)}</span>
      <span className="num dim">{spreadText(live?.tick.bid, live?.tick.ask, of)}</span>
    </>
  );
}

const DirectionCell = ({ of }: { of: Instrument }) => (
  <Arrow direction={useLive(of.instrumentId)?.direction} />
);

const FlagCell = ({ of }: { of: Instrument }) => (
  <FlagMark flags={useLive(of.instrumentId)?.tick.flags.join(' ') ?? ''} />
);

/** One instrument; only the small parts inside listen to ticks and age, the row itself does not. */
export const WatchRow = memo(function WatchRow({ of, pinned, acts }: RowProps) {
  const selected = useDesk((d) => d.chartInstrument === of.instrumentId);
  const age = useAge(of);
  const onKey = (event: React.KeyboardEvent) => {
    if (!event.altKey || !acts.move || (event.key !== 'ArrowUp' && event.key !== 'ArrowDown'))
      return;
    event.preventDefault();
    acts.move(of.instrumentId, event.key === 'ArrowUp' ? -1 : 1);
  };
  return (
    <div
      className={`watch-row ${selected ? 'watch-selected' : ''}`}
      data-testid={T.watchRow(of.instrumentId)}
      data-freshness={age.state}
    >
      <span className="watch-title">
        <button
          type="button"
          className="watch-name clip"
          title={of.displayName}
          aria-pressed={selected}
          onClick={() => desk.setState({ chartInstrument: of.instrumentId })}
          onDoubleClick={() => prefillTicket(of.instrumentId, null, null)}
          onKeyDown={onKey}
        >
          {of.symbol}
        </button>
        <FlagCell of={of} />
      </span>
      <DirectionCell of={of} />
      <PriceCell of={of} side="SELL" />
      <PriceCell of={of} side="BUY" />
      <Values of={of} />
      <span className="watch-spark">
        <Sparkline instrumentId={of.instrumentId} />
      </span>
      <AgeMark {...age} testId={T.watchAge(of.instrumentId)} />
      <RowMenu of={of} pinned={pinned} acts={acts} />
    </div>
  );
});
