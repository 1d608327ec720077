// @vitest-environment jsdom
import { connection } from '@client/connection';
import { market } from '@client/market';
import { rfqs } from '@client/records';
import { session, setInstruments } from '@client/session';
import { anRfq, aQuote, eurusd } from '@model/samples';
import { T } from '@model/testids';
import type { Me } from '@model/types';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { act, render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { beforeEach, describe, expect, it, vi } from 'vitest';
import { emptyDraft, ticket } from './store';
import { Ticket } from './Ticket';

const soon = (ms: number) => new Date(Date.now() + ms).toISOString();
const ago = (ms: number) => soon(-ms);

interface Sent {
  url: string;
  method: string;
  key: string | null;
  body: Record<string, unknown>;
}
let sent: Sent[];
let answer: (call: Sent) => Response | Promise<Response>;

const json = (body: unknown, status = 200) =>
  new Response(JSON.stringify(body), { status, headers: { 'content-type': 'application/json' } });

function openRfq(over = {}) {
  return anRfq({
    createdAt: ago(1_000),
    expiresAt: soon(29_000),
    serverTime: soon(0),
    dealers: ['NORTHGATE', 'HALDEN', 'CORVID'].map((lpId) => ({
      lpId,
      name: lpId,
      status: lpId === 'CORVID' ? ('PENDING' as const) : ('QUOTED' as const),
      reason: null,
      responseMs: null,
    })),
    quotes: [
      aQuote({
        quoteId: 'h',
        lpId: 'HALDEN',
        lpName: 'Halden',
        price: '1.14038',
        receivedAt: ago(800),
        expiresAt: soon(9_000),
      }),
      aQuote({
        quoteId: 'n',
        lpId: 'NORTHGATE',
        lpName: 'Northgate',
        price: '1.14037',
        receivedAt: ago(700),
        expiresAt: soon(9_000),
      }),
    ],
    ...over,
  });
}

function show() {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(
    <QueryClientProvider client={client}>
      <Ticket />
    </QueryClientProvider>,
  );
}

beforeEach(() => {
  sent = [];
  answer = () => json({ items: [] });
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    const call = {
      url,
      method: init.method ?? 'GET',
      key: headers.get('idempotency-key'),
      body: init.body ? JSON.parse(String(init.body)) : {},
    };
    if (call.method === 'GET') return json({ items: [] });
    sent.push(call);
    return answer(call);
  });
  setInstruments([eurusd]);
  session.setState({
    me: { user: 'trader@alpha', roles: ['ROLE_TRADER'], profile: 'embedded' } as Me,
    permissions: new Set(['rfq.create', 'rfq.accept', 'rfq.cancel', 'audit.read.desk']),
  });
  connection.setState({ state: 'live' });
  ticket.setState({
    draft: emptyDraft,
    active: null,
    tabs: [],
    outcomes: {},
    selected: {},
    cancels: {},
    pending: null,
    creation: { kind: 'idle' },
  });
  rfqs.store.setState({ byId: new Map(), current: true });
});

function showOpen(over = {}) {
  const rfq = openRfq(over);
  rfqs.put([rfq]);
  ticket.setState({ active: rfq.rfqId, tabs: [rfq.rfqId] });
  show();
  return rfq;
}

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
    expect(sent).toEqual([]);
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
    answer = () =>
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
    expect(sent).toHaveLength(1);
    expect(sent[0]).toMatchObject({
      url: '/api/v1/rfqs/r1/accept',
      body: { quoteId: 'n', version: 3 },
    });
    expect(sent[0]?.key).toMatch(/^[\w-]{8,128}$/);
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
    answer = () =>
      json({ ...rfq, status: 'ACCEPTED', version: 4, revision: 20, acceptedQuoteId: 'h' });
    await user.click(screen.getByTestId(T.quoteCard('HALDEN')));
    await user.click(screen.getByTestId(T.accept));
    expect(sent).toEqual([]);
    expect(screen.getByTestId(T.reasonDialog).textContent).toContain('0.1 pip (50.00 USD) worse');
    await user.selectOptions(screen.getByTestId(T.reasonSelect), 'Relationship');
    await user.click(screen.getByTestId(T.reasonAccept));
    expect(sent[0]?.body).toEqual({ quoteId: 'h', version: 3, reason: 'Relationship' });
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
    answer = () => {
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
    expect(new Set(sent.map((s) => s.key)).size).toBe(1);
    expect(sent).toHaveLength(2);
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
