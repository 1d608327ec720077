import { useInstrument } from '@client/session';
import { fullSize, shortSize } from '@model/notional';
import { clockOf } from '@model/time';
import type { Rfq } from '@model/types';
import { DealersAsked } from './Dealers';

const Fixed = ({ children, unit }: { children: string; unit?: string | undefined }) => (
  <span className="field field-fixed num">
    <span>{children}</span>
    <span className="spring" />
    {unit && <span className="field-unit">{unit}</span>}
  </span>
);

/** The terms as sent: they can be read, not changed. */
export function SentForm({ rfq }: { rfq: Rfq }) {
  const of = useInstrument(rfq.instrumentId);
  const buy = rfq.side === 'BUY';
  return (
    // biome-ignore lint/a11y/noNoninteractiveTabindex: it scrolls, so the keyboard must reach it
    <section className="ticket-form" aria-label="Terms as sent" tabIndex={0}>
      <div className="form-row">
        <span className="form-label">Instrument</span>
        <Fixed unit={of?.tenor === 'SPOT' ? 'Spot' : of?.tenor}>
          {of?.symbol ?? rfq.instrumentId}
        </Fixed>
      </div>
      <div className="form-row">
        <span className="form-label">Side</span>
        <div className="segment segment-fixed">
          <span className={buy ? '' : 'on-sell'}>Sell</span>
          <span className={buy ? 'on-buy' : ''}>Buy</span>
        </div>
      </div>
      <div className="form-row">
        <span className="form-label">{of?.assetClass === 'EQUITY' ? 'Quantity' : 'Notional'}</span>
        <Fixed unit={of?.assetClass === 'EQUITY' ? 'shares' : rfq.currency}>
          {shortSize(rfq.size)}
        </Fixed>
      </div>
      <div className="form-echo">= {fullSize(rfq.size)}</div>
      <div className="form-row">
        <span className="form-label">Expiry</span>
        <Fixed unit={`to ${clockOf(rfq.expiresAt, false)}`}>{`${rfq.expirySeconds} s`}</Fixed>
      </div>
      <div className="form-row">
        <span className="form-label">Fill</span>
        <Fixed>
          {!rfq.partialAllowed
            ? 'All of it'
            : rfq.minSize
              ? `Partial, ${shortSize(rfq.minSize)} or more`
              : 'Partial'}
        </Fixed>
      </div>
      <DealersAsked rfq={rfq} />
    </section>
  );
}
