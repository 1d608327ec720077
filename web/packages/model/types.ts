/**
 * The shapes of the public interface, as the browser sees them. They are generated from the BFF's own
 * description (`npm run types`); here they only get the names that the screen uses. What travels over
 * the stream has the same shapes, but for what stands at the end.
 */
import type { components } from './openapi';

type Schemas = components['schemas'];

export type Me = Schemas['Me'];
export type Entitlements = Schemas['Entitlements'];
export type Instrument = Schemas['Instrument'];
export type AssetClass = Instrument['assetClass'];
export type PriceDisplay = Schemas['Display'];
export type SpreadUnit = Instrument['spreadUnit'];
export type Tick = Schemas['Tick'];
export type Bar = Schemas['Bar'];
export type Dealer = Schemas['Dealer'];
export type Scorecard = Schemas['Scorecard'];
export type CreateRfq = Schemas['CreateRfq'];
export type AcceptQuote = Schemas['AcceptQuote'];
export type Rfq = Schemas['Rfq'];
export type RfqRow = Schemas['RfqRow'];
export type Side = Rfq['side'];
export type RfqStatus = Rfq['status'];
export type RfqDealer = Schemas['RoutedDealer'];
export type LimitCheck = Schemas['Check'];
export type Quote = Schemas['Quote'];
export type QuoteStatus = Quote['status'];
export type Trade = Schemas['Trade'];
export type AuditItem = Schemas['AuditItem'];
export type Watchlist = Schemas['Watchlist'];
export type Notification = Schemas['Notification'];

/** What a list row and the whole RFQ have in common. */
export type RfqCore = Pick<Rfq, keyof Rfq & keyof RfqRow>;

/** Opaque to the server but for what its description names. */
export type Preferences = Schemas['Preferences'] & {
  density?: string;
  columns?: Record<string, unknown>;
  layout?: unknown;
  [key: string]: unknown;
};

export interface Page<T> {
  items: T[];
  nextCursor: string | null;
  asOf: string;
}

/** On the stream only: an instrument's price has gone quiet, or is back. */
export interface StaleNotice {
  instrumentId: string;
  state: 'STALE' | 'RECOVERED';
  since: string;
  lastTickAt: string | null;
}
