import { dec } from '@model/decimal';
import { consideration, inUnits, priceText, unitShort } from '@model/price';
import { T } from '@model/testids';
import type { Instrument, Quote, Rfq } from '@model/types';
import { Button, Field } from '@ui/controls';
import { Dialog } from '@ui/layers';
import { useState } from 'react';

const REASONS = [
  'Relationship',
  'Size to follow',
  'Counterparty limit',
  'Settlement preference',
  'Other',
];
const SHORTEST = 3;
const LONGEST = 200;

/** A worse price than the best needs a reason; it is recorded with the accept. */
export function ReasonDialog({
  rfq,
  of,
  quote,
  best,
  onAccept,
  onClose,
}: {
  rfq: Rfq;
  of: Instrument;
  quote: Quote;
  best: Quote;
  onAccept: (reason: string) => void;
  onClose: () => void;
}) {
  const [reason, setReason] = useState('');
  const [other, setOther] = useState('');
  const mine = dec(quote.price);
  const theirs = dec(best.price);
  const distance = mine && theirs ? mine.minus(theirs).abs() : null;
  const units = distance ? inUnits(distance, of, best.price) : null;
  const money = distance ? consideration(distance.toFixed(), quote.size, of) : null;
  const text = reason === 'Other' ? other.trim() : reason;
  const good = text.length >= SHORTEST;
  const buy = rfq.side === 'BUY';
  const label = `${buy ? 'Buy' : 'Sell'} at ${priceText(quote.price, of)}, ${quote.lpName}`;
  return (
    <Dialog open title="Not the best quote" onClose={onClose} testId={T.reasonDialog}>
      <div className="dialog-body">
        <p>
          {quote.lpName} {priceText(quote.price, of)} is{' '}
          <b>
            {units?.isZero()
              ? 'the same price, later'
              : `${units?.toFixed() ?? '–'} ${unitShort(of.spreadUnit)} (${money ?? '–'} ${of.quoteCurrency}) worse`}
          </b>{' '}
          than {best.lpName} {priceText(best.price, of)}. Say why; it goes on the record.
        </p>
        <select
          className="select"
          aria-label="Reason"
          value={reason}
          data-testid={T.reasonSelect}
          onChange={(event) => setReason(event.target.value)}
        >
          <option value="">Choose a reason</option>
          {REASONS.map((one) => (
            <option key={one}>{one}</option>
          ))}
        </select>
        {reason === 'Other' && (
          <Field
            aria-label="Reason in your words"
            placeholder="In your words"
            maxLength={LONGEST}
            value={other}
            onChange={(event) => setOther(event.target.value)}
          />
        )}
      </div>
      <footer className="dialog-foot">
        <Button testId={T.reasonCancel} onClick={onClose}>
          Cancel
        </Button>
        <button
          type="button"
          className={`btn deal-${good ? (buy ? 'buy' : 'sell') : 'none'} reason-go`}
          disabled={!good}
          data-testid={T.reasonAccept}
          onClick={() => onAccept(text)}
        >
          {label}
        </button>
      </footer>
    </Dialog>
  );
}
