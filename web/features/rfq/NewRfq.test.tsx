// @vitest-environment jsdom

import { market } from '@client/market';
import { T } from '@model/testids';
import { screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it } from 'vitest';
import { setStage, show, soon, wire } from './stage';
import { emptyDraft, ticket } from './store';

beforeEach(setStage);

describe('a new RFQ', () => {
  it('cannot be sent by Enter in a field, and says what is missing', async () => {
    const user = userEvent.setup();
    ticket.setState({ draft: { ...emptyDraft, instrumentId: 'EURUSD', side: 'BUY' } });
    market.apply(
      [
        {
          instrumentId: 'EURUSD',
          bid: '1.1',
          ask: '1.2',
          mid: '1.15',
          timestamp: soon(0),
          receivedAt: soon(0),
          source: 'SIM',
          flags: [],
        },
      ],
      true,
    );
    show();
    const size = screen.getByTestId(T.ticketSize);
    await user.type(size, '5m{Enter}');
    expect(screen.getByTestId(T.ticketEcho).textContent).toContain('= 5,000,000');
    expect(wire.sent).toEqual([]);
    await user.clear(size);
    await user.type(size, '30m');
    expect(screen.getByTestId(T.ticketEcho).textContent).toContain('Over your max 25,000,000');
    expect(screen.getByTestId<HTMLButtonElement>(T.ticketSend).disabled).toBe(true);
  });

  it('forgets the size when the instrument changes', async () => {
    ticket.setState({ draft: { ...emptyDraft, instrumentId: 'EURUSD', size: '5m' } });
    const { changeDraft } = await import('./store');
    changeDraft({ instrumentId: 'USDJPY' });
    expect(ticket.getState().draft.size).toBe('');
  });
});
