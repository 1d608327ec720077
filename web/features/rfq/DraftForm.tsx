import { useInstrument } from '@client/session';
import { parseSize, shortSize } from '@model/notional';
import { T } from '@model/testids';
import type { Instrument, Side } from '@model/types';
import { Check, Field } from '@ui/controls';
import { Icon } from '@ui/icons';
import { DealerChoices } from './Dealers';
import { useChoices } from './dealers';
import { InstrumentBox } from './InstrumentBox';
import { changeDraft, type Draft, EXPIRIES } from './store';

function SideChoice({ side }: { side: Side | null }) {
  const button = (value: Side, word: string, testId: string) => (
    <button
      type="button"
      aria-pressed={side === value}
      className={side === value ? `on-${value.toLowerCase()}` : ''}
      data-testid={testId}
      onClick={() => changeDraft({ side: value })}
    >
      {word}
    </button>
  );
  return (
    // biome-ignore lint/a11y/useSemanticElements: two pressed buttons in one frame
    <div className="segment" role="group" aria-label="Side">
      {button('SELL', 'Sell', T.ticketSell)}
      {button('BUY', 'Buy', T.ticketBuy)}
    </div>
  );
}

function SizeEcho({ text, of }: { text: string; of: Instrument | undefined }) {
  const parsed = parseSize(text, of);
  if (!parsed.ok && !parsed.empty) {
    return (
      <div className="form-echo form-echo-bad" role="alert" data-testid={T.ticketEcho}>
        <Icon name="alert" />
        {parsed.message}
      </div>
    );
  }
  return (
    <div className="form-echo" data-testid={T.ticketEcho}>
      {parsed.ok && <span>= {parsed.echo}</span>}
      {of && <span className="faint">{`max ${shortSize(of.maxSize)}`}</span>}
    </div>
  );
}

export function DraftForm({ draft }: { draft: Draft }) {
  const of = useInstrument(draft.instrumentId);
  const choices = useChoices(draft);
  const size = parseSize(draft.size, of);
  const toggle = (lpId: string) =>
    changeDraft({
      without: draft.without.includes(lpId)
        ? draft.without.filter((id) => id !== lpId)
        : [...draft.without, lpId],
    });
  return (
    <div className="ticket-form">
      <div className="form-row">
        <span className="form-label">Instrument</span>
        <InstrumentBox
          value={draft.instrumentId}
          onChange={(instrumentId) => changeDraft({ instrumentId })}
        />
      </div>
      <div className="form-row">
        <span className="form-label">Side</span>
        <SideChoice side={draft.side} />
      </div>
      <div className="form-row">
        <label htmlFor="ticket-size">{of?.assetClass === 'EQUITY' ? 'Quantity' : 'Notional'}</label>
        <Field
          id="ticket-size"
          placeholder="5m, 250k"
          value={draft.size}
          unit={of?.assetClass === 'EQUITY' ? 'shares' : of?.currency}
          bad={!size.ok && !size.empty}
          testId={T.ticketSize}
          onChange={(event) => changeDraft({ size: event.target.value })}
        />
      </div>
      <SizeEcho text={draft.size} of={of} />
      <div className="form-row">
        <label htmlFor="ticket-expiry">Expiry</label>
        <select
          id="ticket-expiry"
          className="select"
          value={draft.expirySeconds}
          data-testid={T.ticketExpiry}
          onChange={(event) => changeDraft({ expirySeconds: Number(event.target.value) })}
        >
          {EXPIRIES.map((seconds) => (
            <option key={seconds} value={seconds}>
              {seconds} s
            </option>
          ))}
        </select>
      </div>
      <div className="form-row">
        <span className="form-label">Fill</span>
        <div className="fill-row">
          <Check
            checked={draft.partial}
            testId={T.ticketPartial}
            onChange={(partial) => changeDraft({ partial })}
          >
            Partial
          </Check>
          {draft.partial && (
            <Field
              aria-label="Smallest size that may be quoted"
              placeholder="min size"
              value={draft.minSize}
              bad={draft.minSize.trim() !== '' && !parseSize(draft.minSize, of).ok}
              testId={T.ticketMinSize}
              onChange={(event) => changeDraft({ minSize: event.target.value })}
            />
          )}
        </div>
      </div>
      <DealerChoices choices={choices} onToggle={toggle} />
    </div>
  );
}
