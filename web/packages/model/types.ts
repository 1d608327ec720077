/** The shapes of the public REST and WebSocket interface, as the browser sees them. */

export type Side = 'BUY' | 'SELL';
export type AssetClass = 'FX' | 'RATES' | 'CREDIT' | 'EQUITY';

export interface Entitlements {
  assetClasses: string[];
  instrumentIds: string[] | null;
  venueIds: string[];
  maxNotional: string;
  maxNotionalCurrency: string;
  rfqPerMinute: number;
}

export interface Me {
  user: string;
  subject: string;
  displayName: string;
  tenantId: string;
  tenantName: string;
  desk: string;
  roles: string[];
  permissions: string[];
  entitlements: Entitlements;
  session: { expiresAt: string | null; idleTimeoutSeconds: number };
  environment: string;
  profile: 'embedded' | 'cluster';
  build: string;
  feed: { mode: 'SIM' | 'REPLAY'; scenario: string; seed: number; speed: number | null };
  serverTime: string;
}

export interface PriceDisplay {
  kind: 'PIPS' | 'DECIMAL' | 'THIRTYSECONDS';
  decimals: number;
  pipFrom: number;
  pipDigits: number;
  fractionDigits: number;
}

export type SpreadUnit = 'pips' | 'cents' | '32nds' | 'bps';

export interface Instrument {
  instrumentId: string;
  symbol: string;
  displayName: string;
  assetClass: AssetClass;
  group: string;
  currency: string;
  quoteCurrency: string;
  isin: string | null;
  issuer: string | null;
  coupon: string | null;
  maturity: string | null;
  curve: string | null;
  tenor: string;
  settlementCycle: string;
  settlementDate: string;
  calendar: string;
  tradingHours: string;
  tickSize: string;
  lotSize: string;
  minSize: string;
  maxSize: string;
  pip: string;
  display: PriceDisplay;
  spreadUnit: SpreadUnit;
  sizeUnit: string;
  venueIds: string[];
  staleAmberMs: number;
  staleRedMs: number;
  dealable: boolean;
  source: 'SIM' | 'REPLAY';
  version: number;
}

export interface Tick {
  instrumentId: string;
  bid: string | null;
  ask: string | null;
  mid: string | null;
  timestamp: string;
  receivedAt: string;
  source: string;
  flags: string[];
  sourceTimestamp?: string | null;
  heartbeatAt?: string | null;
  dayLow?: string | null;
  dayHigh?: string | null;
  open?: string | null;
}

export interface StaleNotice {
  instrumentId: string;
  state: 'STALE' | 'RECOVERED';
  since: string;
  lastTickAt: string | null;
}

export interface Bar {
  at: string;
  mid: string;
  low: string;
  high: string;
  spread: string;
  spreadMax: string;
  ticks: number;
}

export interface Scorecard {
  requests: number;
  quoted: number;
  won: number;
  hitRatio: number | null;
  responseP50Ms: number | null;
  responseP95Ms: number | null;
  lastLookRejectRatio: number | null;
}

export interface Dealer {
  lpId: string;
  name: string;
  enabled: boolean;
  reason: string | null;
  instrumentIds: string[];
  lastLook: boolean;
  scorecard: Scorecard;
}

export interface CreateRfq {
  instrumentId: string;
  side: Side;
  size: string;
  expirySeconds: number;
  minSize?: string;
  partialAllowed?: boolean;
  lpIds?: string[];
  venueId?: string;
  settlementDate?: string;
}

export type RfqStatus =
  | 'CREATED'
  | 'SENT'
  | 'QUOTING'
  | 'ACCEPTED'
  | 'REJECTED'
  | 'EXPIRED'
  | 'CANCELLED'
  | 'TRADED'
  | 'DENIED';

export type QuoteStatus =
  | 'QUOTED'
  | 'PASSED'
  | 'WITHDRAWN'
  | 'EXPIRED'
  | 'LAST_LOOK_REJECTED'
  | 'WON'
  | 'LOST';

export interface Quote {
  quoteId: string;
  lpId: string;
  lpName: string;
  price: string;
  size: string;
  status: QuoteStatus;
  rank: number | null;
  receivedAt: string;
  responseMs: number;
  expiresAt: string;
  spreadToMid: string | null;
  reason: string | null;
}

export interface RfqDealer {
  lpId: string;
  name: string;
  status: 'PENDING' | 'QUOTED' | 'PASSED' | 'EXCLUDED';
  reason: string | null;
  responseMs: number | null;
}

export interface LimitCheck {
  check: string;
  outcome: 'PASSED' | 'FAILED';
  actual: string;
  limit: string;
  code: string | null;
}

/** What a list row and the whole RFQ have in common. */
export interface RfqCore {
  rfqId: string;
  displayId: string;
  status: RfqStatus;
  version: number;
  correlationId: string;
  tenantId: string;
  requester: string;
  desk: string;
  instrumentId: string;
  side: Side;
  size: string;
  currency: string;
  minSize: string | null;
  partialAllowed: boolean;
  venueId: string;
  settlementDate: string;
  expirySeconds: number;
  createdAt: string;
  expiresAt: string;
  endedAt: string | null;
  midAtRequest: string | null;
  reasonCode: string | null;
  reason: string | null;
  tradeId?: string | null;
  tradeDisplayId?: string | null;
}

export interface Rfq extends RfqCore {
  serverTime: string;
  dealers: RfqDealer[];
  quotes: Quote[];
  bestQuoteId: string | null;
  acceptedQuoteId?: string | null;
  lastLook?: { quoteId: string; lpId: string; deadline: string } | null;
  checks: LimitCheck[];
  /** Grows with every change, quotes included; `version` counts only the RFQ's own moves. */
  revision?: number;
}

export interface RfqRow extends RfqCore {
  quoteCount: number;
  dealerCount: number;
  bestPrice: string | null;
  price: string | null;
  lpId: string | null;
}

export interface Trade {
  tradeId: string;
  displayId: string;
  rfqId: string;
  quoteId: string;
  instrumentId: string;
  side: Side;
  quantity: string;
  price: string;
  notional: string;
  currency: string;
  buyer: string;
  seller: string;
  lpId: string;
  venueId: string;
  tradedAt: string;
  settlementDate: string;
  tenantId: string;
  correlationId: string;
  requester: string;
  desk: string;
  status: string;
}

export interface AuditItem {
  occurredAt: string;
  offsetMs: number;
  service: string;
  eventType: string;
  eventId: string;
  entity: { entityType: string; entityId: string; sequence: number };
  topic: string;
  partition: number;
  offset: number;
  payload: Record<string, unknown>;
  summary: string;
}

export interface Watchlist {
  watchlistId: string;
  name: string;
  instrumentIds: string[];
  pinned: string[];
  position: number;
  version: number;
}

export interface Notification {
  notificationId: string;
  kind: string;
  severity: string;
  title: string;
  text: string;
  at: string;
  correlationId?: string | null;
  rfqId?: string | null;
  tradeId?: string | null;
  read: boolean;
}

export interface Preferences {
  version: number;
  theme?: 'dark' | 'light' | 'system';
  density?: string;
  columns?: Record<string, unknown>;
  layout?: unknown;
  [key: string]: unknown;
}

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
  asOf: string;
}
