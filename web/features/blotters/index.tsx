import { roleRefusal } from '@client/dealing';
import { showRfq, showTimeline, useDesk } from '@client/desk';
import { session, useSession } from '@client/session';
import { commands } from '@model/commands';
import { fullSize } from '@model/notional';
import { isOpen } from '@model/outcome';
import { priceText } from '@model/price';
import type { RfqRow, Trade } from '@model/types';
import { Button } from '@ui/controls';
import { hasAny, type PanelSpec } from '@ui/panels';
import { Empty } from '@ui/states';
import '@grid/grid.css';
import { Blotter } from './Blotter';
import './blotters.css';
import { rfqColumns } from './rfqColumns';
import { useRfqRows, useTradeRows } from './source';
import { tradeColumns } from './tradeColumns';

const symbolOf = (id: string) => session.getState().instruments.get(id)?.symbol ?? id;
const createdAt = (row: RfqRow) => row.createdAt;
const tradedAt = (trade: Trade) => trade.tradedAt;
const rfqId = (row: RfqRow) => row.rfqId;
const tradeId = (trade: Trade) => trade.tradeId;

function pickRfq(row: RfqRow): void {
  showTimeline({
    correlationId: row.correlationId,
    displayId: row.displayId,
    side: row.side,
    text: `${fullSize(row.size)} ${symbolOf(row.instrumentId)}`,
  });
  if (isOpen(row.status)) showRfq(row.rfqId);
}

function pickTrade(trade: Trade): void {
  const of = session.getState().instruments.get(trade.instrumentId);
  showTimeline({
    correlationId: trade.correlationId,
    displayId: trade.displayId,
    side: trade.side,
    text: `${fullSize(trade.quantity)} ${symbolOf(trade.instrumentId)} at ${priceText(trade.price, of)}`,
  });
}

const LAPSED = new Set(['EXPIRED', 'CANCELLED']);

const RfqFoot = ({ rows }: { rows: readonly RfqRow[] }) => {
  const count = (test: (row: RfqRow) => boolean) => rows.filter(test).length;
  return (
    <>
      <span>
        <b>{count((r) => isOpen(r.status))}</b> open
      </span>
      <span>
        <b>{count((r) => r.status === 'TRADED')}</b> traded
      </span>
      <span>
        <b>{count((r) => LAPSED.has(r.status))}</b> lapsed
      </span>
      <span>
        <b>{count((r) => r.status === 'REJECTED')}</b> rejected
      </span>
      <span>
        <b>{count((r) => r.status === 'DENIED')}</b> denied
      </span>
    </>
  );
};

const TradeFoot = ({ rows }: { rows: readonly Trade[] }) => {
  const buys = rows.filter((t) => t.side === 'BUY').length;
  return (
    <>
      <span>
        <b>{rows.length}</b> {rows.length === 1 ? 'trade' : 'trades'}
      </span>
      <span>
        <b>{buys}</b> bought
      </span>
      <span>
        <b>{rows.length - buys}</b> sold
      </span>
    </>
  );
};

function RfqBlotter() {
  const source = useRfqRows();
  const shown = useDesk((d) => d.timeline?.correlationId);
  const selected = source.rows.find((r) => r.correlationId === shown);
  const deals = useSession((s) => s.permissions.has('rfq.create'));
  return (
    <Blotter
      id="rfq-blotter"
      what="RFQs"
      source={source}
      columns={rfqColumns}
      rowId={rfqId}
      at={createdAt}
      selectedId={selected?.rfqId ?? null}
      onRow={pickRfq}
      foot={(rows) => <RfqFoot rows={rows} />}
      empty={
        <Empty
          title="No RFQs yet"
          actions={
            deals && (
              <Button small onClick={() => commands.run('rfq.new')}>
                New RFQ <kbd className="kbd">N</kbd>
              </Button>
            )
          }
        >
          {roleRefusal() ?? 'Press a price, or N, to ask dealers for quotes.'}
        </Empty>
      }
    />
  );
}

function TradeBlotter() {
  const source = useTradeRows();
  const deals = useSession((s) => s.permissions.has('rfq.create'));
  const shown = useDesk((d) => d.timeline?.correlationId);
  const selected = source.rows.find((t) => t.correlationId === shown);
  return (
    <Blotter
      id="trade-blotter"
      what="trades"
      source={source}
      columns={tradeColumns}
      rowId={tradeId}
      at={tradedAt}
      selectedId={selected?.tradeId ?? null}
      onRow={pickTrade}
      foot={(rows) => <TradeFoot rows={rows} />}
      empty={
        <Empty title="No trades yet">
          {deals
            ? "Accept a dealer's quote and the trade stands here."
            : 'Trades stand here as soon as they are made.'}
        </Empty>
      }
    />
  );
}

function RfqTitle() {
  const source = useRfqRows();
  const open = source.rows.filter((r) => isOpen(r.status)).length;
  return <>RFQs {open > 0 && <span className="count">{open} open</span>}</>;
}

export const panels: PanelSpec[] = [
  {
    id: 'rfq-blotter',
    title: 'RFQs',
    slot: 'band-left',
    order: 50,
    may: (p) => hasAny(p, 'rfq.read'),
    Title: RfqTitle,
    Body: RfqBlotter,
  },
  {
    id: 'trade-blotter',
    title: 'Trades',
    slot: 'band-right',
    order: 60,
    may: (p) => hasAny(p, 'trade.read'),
    Body: TradeBlotter,
  },
];
