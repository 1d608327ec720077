import { connection } from '@client/connection';
import { rfqs } from '@client/records';
import { session, setInstruments } from '@client/session';
import { anRfq, aQuote, eurusd } from '@model/samples';
import type { Me } from '@model/types';
import { QueryClient, QueryClientProvider } from '@tanstack/react-query';
import { render } from '@testing-library/react';
import { vi } from 'vitest';
import { emptyDraft, ticket } from './store';
import { Ticket } from './Ticket';

export const soon = (ms: number) => new Date(Date.now() + ms).toISOString();
export const ago = (ms: number) => soon(-ms);

export interface Sent {
  url: string;
  method: string;
  key: string | null;
  body: Record<string, unknown>;
}
/** What the page sent, and what it is answered. */
export const wire: { sent: Sent[]; answer: (call: Sent) => Response | Promise<Response> } = {
  sent: [],
  answer: () => json({ items: [] }),
};

export const json = (body: unknown, status = 200) =>
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

export function show() {
  const client = new QueryClient({ defaultOptions: { queries: { retry: false } } });
  return render(
    <QueryClientProvider client={client}>
      <Ticket />
    </QueryClientProvider>,
  );
}

/** A signed-in trader with one instrument and a live connection. */
export function setStage(): void {
  wire.sent = [];
  wire.answer = () => json({ items: [] });
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const headers = new Headers(init.headers);
    const call = {
      url,
      method: init.method ?? 'GET',
      key: headers.get('idempotency-key'),
      body: init.body ? JSON.parse(String(init.body)) : {},
    };
    if (call.method === 'GET') return json({ items: [] });
    wire.sent.push(call);
    return wire.answer(call);
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
}

export function showOpen(over = {}) {
  const rfq = openRfq(over);
  rfqs.put([rfq]);
  ticket.setState({ active: rfq.rfqId, tabs: [rfq.rfqId] });
  show();
  return rfq;
}
