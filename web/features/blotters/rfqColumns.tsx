import { dealerName } from '@client/dealers';
import { byNumber, type GridColumn } from '@grid/columns';
import { cellSize } from '@model/notional';
import { priceText } from '@model/price';
import { clockOf, shortDay } from '@model/time';
import type { RfqRow, RfqStatus } from '@model/types';
import { Pill, type Tone } from '@ui/controls';
import type { IconName } from '@ui/icons';
import { instrument, sideWord, symbol } from './cells';

const STATUS: Record<RfqStatus, [IconName, Tone, string]> = {
  CREATED: ['arrow', 'plain', 'Created'],
  SENT: ['arrow', 'live', 'Sent'],
  QUOTING: ['half', 'live', 'Quoting'],
  ACCEPTED: ['half', 'live', 'Accepting'],
  TRADED: ['check', 'plain', 'Traded'],
  REJECTED: ['cross', 'bad', 'Rejected'],
  DENIED: ['ban', 'warn', 'Denied'],
  EXPIRED: ['clock', 'idle', 'Expired'],
  CANCELLED: ['minus', 'idle', 'Cancelled'],
};

const isLiveStatus = (status: RfqStatus) =>
  ['CREATED', 'SENT', 'QUOTING', 'ACCEPTED'].includes(status);

export const rfqColumns: GridColumn<RfqRow>[] = [
  {
    id: 'time',
    head: 'Time UTC',
    name: 'Created at',
    width: 94,
    sort: 'desc',
    value: (r) => r.createdAt,
    text: (r) => clockOf(r.createdAt),
    className: 'cell-time',
  },
  { id: 'rfq', head: 'RFQ', width: 52, value: (r) => r.displayId },
  { id: 'instrument', head: 'Instrument', width: 66, value: symbol, csv: (r) => r.instrumentId },
  {
    id: 'side',
    head: 'Side',
    width: 34,
    value: sideWord,
    className: (r) => `side-${r.side}`,
    csv: (r) => r.side,
  },
  {
    id: 'size',
    head: 'Notional',
    name: 'Size',
    width: 84,
    align: 'right',
    numeric: true,
    value: (r) => r.size,
    text: (r) => cellSize(r.size),
    compare: byNumber,
  },
  {
    id: 'quotes',
    head: 'Quotes',
    name: "Dealers' quotes",
    width: 48,
    align: 'right',
    numeric: true,
    value: (r) => r.quoteCount,
  },
  {
    id: 'dealers',
    head: 'Dealers',
    name: 'Dealers asked',
    width: 50,
    align: 'right',
    numeric: true,
    hidden: true,
    value: (r) => r.dealerCount,
  },
  {
    id: 'price',
    head: 'Price',
    name: 'Traded price',
    width: 72,
    align: 'right',
    numeric: true,
    wide: true,
    value: (r) => r.price,
    text: (r) => (r.price ? priceText(r.price, instrument(r.instrumentId)) : '–'),
    compare: byNumber,
  },
  {
    id: 'status',
    head: 'Status',
    width: 70,
    grow: true,
    value: (r) => STATUS[r.status][2],
    csv: (r) => r.status,
    render: (r) => {
      const [icon, tone, word] = STATUS[r.status];
      return (
        <Pill icon={icon} tone={isLiveStatus(r.status) ? 'live' : tone}>
          {word}
        </Pill>
      );
    },
  },
  {
    id: 'best',
    head: 'Best',
    name: 'Best quote',
    width: 72,
    align: 'right',
    numeric: true,
    hidden: true,
    value: (r) => r.bestPrice,
    text: (r) => (r.bestPrice ? priceText(r.bestPrice, instrument(r.instrumentId)) : '–'),
    compare: byNumber,
  },
  { id: 'requester', head: 'Requester', width: 96, hidden: true, value: (r) => r.requester },
  { id: 'desk', head: 'Desk', width: 72, hidden: true, value: (r) => r.desk },
  {
    id: 'dealer',
    head: 'Dealer',
    width: 90,
    hidden: true,
    value: (r) => dealerName(r.lpId),
    text: (r) => dealerName(r.lpId) ?? '–',
    csv: (r) => r.lpId,
  },
  {
    id: 'currency',
    head: 'Ccy',
    name: 'Currency of size',
    width: 44,
    hidden: true,
    value: (r) => r.currency,
  },
  { id: 'venue', head: 'Venue', width: 60, hidden: true, value: (r) => r.venueId },
  {
    id: 'settles',
    head: 'Value',
    name: 'Settlement date',
    width: 60,
    hidden: true,
    value: (r) => r.settlementDate,
    text: (r) => shortDay(r.settlementDate),
  },
  {
    id: 'expires',
    head: 'Expires',
    name: 'Expires at',
    width: 92,
    hidden: true,
    value: (r) => r.expiresAt,
    text: (r) => clockOf(r.expiresAt),
    className: 'cell-time',
  },
  {
    id: 'code',
    head: 'Code',
    name: 'Reason code',
    width: 64,
    hidden: true,
    value: (r) => r.reasonCode,
    text: (r) => r.reasonCode ?? '–',
  },
  {
    id: 'reason',
    head: 'Reason',
    width: 160,
    hidden: true,
    value: (r) => r.reason,
    text: (r) => r.reason ?? '–',
  },
  { id: 'id', head: 'RFQ id', width: 180, hidden: true, value: (r) => r.rfqId, className: 'mono' },
  {
    id: 'correlation',
    head: 'Correlation',
    name: 'Correlation id',
    width: 180,
    hidden: true,
    value: (r) => r.correlationId,
    className: 'mono',
  },
];
