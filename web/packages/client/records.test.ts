import { anRfq } from '@model/samples';
import type { Rfq } from '@model/types';
import { describe, expect, it } from 'vitest';
import { notifications, RecordStore, rfqIsNewer } from './records';

const store = () => new RecordStore<Rfq>((r) => r.rfqId, rfqIsNewer);
const status = (s: RecordStore<Rfq>) => s.store.getState().byId.get('r1')?.status;

describe('records of a channel', () => {
  it('never go back to an older state, whichever way it comes', () => {
    const records = store();
    records.snapshot(1, [anRfq({ version: 4, status: 'TRADED' })]);
    records.put([anRfq({ version: 3, status: 'QUOTING' })]);
    expect(status(records)).toBe('TRADED');
    expect(records.update(2, [anRfq({ version: 5, status: 'CANCELLED' })])).toBe(false);
    expect(status(records)).toBe('CANCELLED');
  });

  it('take a newer look within one version: quotes arrive without a new version', () => {
    const records = store();
    records.put([anRfq({ revision: 2 })]);
    records.put([anRfq({ revision: 1, status: 'SENT' })]);
    expect(status(records)).toBe('QUOTING');
    records.put([anRfq({ revision: 3, status: 'SENT' })]);
    expect(status(records)).toBe('SENT');
  });

  it('apply nothing of a frame after a gap and ask for a snapshot', () => {
    const records = store();
    records.snapshot(1, []);
    expect(records.update(3, [anRfq()])).toBe(true);
    expect(status(records)).toBeUndefined();
    records.snapshot(7, [anRfq()]);
    expect(status(records)).toBe('QUOTING');
  });
});

it('a notification that was read is not unread again by an older frame', () => {
  const note = {
    notificationId: 'n1',
    kind: 'TRADE_DONE',
    severity: 'INFO',
    title: 't',
    text: 'x',
    at: '2026-02-09T12:00:00.000Z',
    read: false,
  } as const;
  notifications.put([note]);
  notifications.put([{ ...note, read: true }]);
  notifications.put([note]);
  expect(notifications.store.getState().byId.get('n1')?.read).toBe(true);
});
