import { useCan } from '@client/session';
import { dec, grouped } from '@model/decimal';
import { clock } from '@model/time';
import { Line } from './Line';
import { useTicket } from './store';

/** The line of the new-RFQ form: what became of the press on Send. */
export function CreationLine() {
  const creation = useTicket((s) => s.creation);
  const may = useCan('rfq.create');
  if (creation.kind === 'sending') {
    return (
      <Line look="plain" icon="half" name="sending">
        <b>Sending</b> since {clock(creation.since)}
      </Line>
    );
  }
  if (creation.kind === 'unknown') {
    return (
      <Line look="warn" icon="help" name="unknown">
        <b>Unknown: do not resend; checking…</b> Attempt {creation.attempt}, same request and key
      </Line>
    );
  }
  if (creation.kind === 'refused') {
    const failed = creation.checks.find((c) => c.outcome === 'FAILED');
    return (
      <Line look="bad" icon="ban" name="denied" copy={creation.correlationId}>
        <b>Denied {creation.code}</b> {creation.sentence}
        {failed &&
          !creation.sentence.includes(amount(failed.limit)) &&
          `: asked ${amount(failed.actual)}, limit ${amount(failed.limit)}`}
      </Line>
    );
  }
  return (
    <Line look="plain" icon={may ? 'info' : 'lock'} name="idle">
      {may ? 'Nothing is sent until you press Send' : 'Your role does not deal'}
    </Line>
  );
}

const amount = (text: string): string => {
  const value = dec(text);
  return value ? grouped(value) : text;
};
