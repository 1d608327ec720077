// @vitest-environment jsdom

import { connection } from '@client/connection';
import { rfqs } from '@client/records';
import { aQuote } from '@model/samples';
import { T } from '@model/testids';
import { act, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { json, setStage, showOpen, soon, wire } from './stage';

beforeEach(setStage);

describe('quotes', () => {
  it('mark the best by word and keep their places under the pointer', async () => {
    const user = userEvent.setup();
    const rfq = showOpen();
    const places = () =>
      [...screen.getByTestId(T.quoteList).children].map((c) => c.getAttribute('data-testid'));
    expect(places()).toEqual(['quote-card:NORTHGATE', 'quote-card:HALDEN', 'quote-card:CORVID']);
    expect(screen.getByTestId(T.quoteCard('NORTHGATE')).textContent).toContain('Best');
    await user.hover(screen.getByTestId(T.quoteList));
    act(() =>
      rfqs.put([
        {
          ...rfq,
          revision: 9,
          quotes: [
            ...rfq.quotes,
            aQuote({
              quoteId: 'c',
              lpId: 'CORVID',
              lpName: 'Corvid',
              price: '1.14030',
              receivedAt: soon(0),
              expiresAt: soon(9_000),
            }),
          ],
        },
      ]),
    );
    expect(places()).toEqual(['quote-card:NORTHGATE', 'quote-card:HALDEN', 'quote-card:CORVID']);
    expect(screen.getByTestId(T.quoteCard('CORVID')).dataset.best).toBe('true');
  });

  it('name side, size, price and dealer on the button and accept once for a double click', async () => {
    const user = userEvent.setup();
    const rfq = showOpen();
    wire.answer = () =>
      json({
        ...rfq,
        status: 'TRADED',
        version: 5,
        revision: 20,
        acceptedQuoteId: 'n',
        tradeId: 't',
        tradeDisplayId: 'T-1048',
        endedAt: soon(0),
      });
    const accept = screen.getByTestId(T.accept);
    expect(accept.textContent).toContain('Buy 5,000,000 EUR at 1.14037');
    expect(accept.textContent).toContain('Northgate, best of 2. Pays 5,701,850.00 USD');
    await user.dblClick(accept);
    expect(wire.sent).toHaveLength(1);
    expect(wire.sent[0]).toMatchObject({
      url: '/api/v1/rfqs/r1/accept',
      body: { quoteId: 'n', version: 3 },
    });
    expect(wire.sent[0]?.key).toMatch(/^[\w-]{8,128}$/);
    expect(screen.getByTestId(T.outcome).dataset.outcome).toBe('done');
  });

  it('ask for a reason when the quote is not the best', async () => {
    HTMLDialogElement.prototype.showModal ??= function open(this: HTMLDialogElement) {
      this.setAttribute('open', '');
    };
    HTMLDialogElement.prototype.close ??= function close(this: HTMLDialogElement) {
      this.removeAttribute('open');
    };
    const user = userEvent.setup();
    const rfq = showOpen();
    wire.answer = () =>
      json({ ...rfq, status: 'ACCEPTED', version: 4, revision: 20, acceptedQuoteId: 'h' });
    await user.click(screen.getByTestId(T.quoteCard('HALDEN')));
    await user.click(screen.getByTestId(T.accept));
    expect(wire.sent).toEqual([]);
    expect(screen.getByTestId(T.reasonDialog).textContent).toContain('0.1 pip (50.00 USD) worse');
    await user.selectOptions(screen.getByTestId(T.reasonSelect), 'Relationship');
    await user.click(screen.getByTestId(T.reasonAccept));
    expect(wire.sent[0]?.body).toEqual({ quoteId: 'h', version: 3, reason: 'Relationship' });
  });

  it('keep the button on the quote it named while the pointer is on it', async () => {
    const user = userEvent.setup();
    const rfq = showOpen();
    const accept = screen.getByTestId(T.accept);
    await user.hover(accept);
    act(() =>
      rfqs.put([
        {
          ...rfq,
          revision: 9,
          quotes: [
            ...rfq.quotes,
            aQuote({
              quoteId: 'c',
              lpId: 'CORVID',
              lpName: 'Corvid',
              price: '1.14030',
              receivedAt: soon(0),
              expiresAt: soon(9_000),
            }),
          ],
        },
      ]),
    );
    expect(accept.dataset.quoteId).toBe('n');
    await user.unhover(accept);
    expect(accept.dataset.quoteId).toBe('c');
  });

  it('say Unknown without an answer, resend with the same key, and end with the refusal', async () => {
    vi.useFakeTimers({ shouldAdvanceTime: true });
    const user = userEvent.setup({ advanceTimers: vi.advanceTimersByTime });
    showOpen();
    let tries = 0;
    wire.answer = () => {
      tries += 1;
      if (tries === 1) throw new TypeError('network');
      return json({ code: 'RFQ-204', title: 'Too late', status: 409 }, 409);
    };
    await user.click(screen.getByTestId(T.accept));
    await act(() => vi.advanceTimersByTimeAsync(50));
    expect(screen.getByTestId(T.outcome).dataset.outcome).toBe('unknown');
    expect(screen.getByTestId<HTMLButtonElement>(T.accept).disabled).toBe(true);
    await act(() => vi.advanceTimersByTimeAsync(1_500));
    expect(screen.getByTestId(T.outcome).textContent).toContain('RFQ-204');
    expect(new Set(wire.sent.map((s) => s.key)).size).toBe(1);
    expect(wire.sent).toHaveLength(2);
    vi.useRealTimers();
  });

  it('cannot be accepted by somebody else', () => {
    showOpen({ requester: 'trader2@alpha' });
    expect(screen.getByTestId(T.accept).textContent).toContain('Only the requester may accept');
    expect(screen.getByTestId<HTMLButtonElement>(T.accept).disabled).toBe(true);
  });

  it('cannot be accepted without live prices', () => {
    connection.setState({ state: 'reconnecting' });
    showOpen();
    expect(screen.getByTestId(T.accept).textContent).toContain('Dealing off');
    expect(screen.getByTestId<HTMLButtonElement>(T.accept).disabled).toBe(true);
  });
});
