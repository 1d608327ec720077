import { anRfq } from '@model/samples';
import type { Quote } from '@model/types';
import { expect, it } from 'vitest';
import { rowOf } from './source';

const quote = (quoteId: string, status: Quote['status']): Quote => ({
  quoteId,
  lpId: 'NORTHGATE',
  lpName: 'Northgate',
  price: '1.1',
  size: '1000000',
  status,
  rank: null,
  receivedAt: '2026-02-09T12:34:56.789Z',
  responseMs: 1,
  expiresAt: '2026-02-09T12:34:56.789Z',
  spreadToMid: null,
  reason: null,
});

it('a live row counts the quotes that stand, as the list does', () => {
  const statuses: Quote['status'][] = ['WITHDRAWN', 'LAST_LOOK_REJECTED', 'QUOTED', 'LOST', 'WON'];
  const rfq = anRfq({ quotes: statuses.map((status, n) => quote(`q${n}`, status)) });
  expect(rowOf(rfq).quoteCount).toBe(3);
});
