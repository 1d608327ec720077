import { type Records, rfqs, trades } from '@client/records';
import { api, type Query } from '@client/rest';
import type { Page, Rfq, RfqRow, Trade } from '@model/types';
import { useInfiniteQuery } from '@tanstack/react-query';
import { useMemo } from 'react';
import { useStore } from 'zustand';
import type { StoreApi } from 'zustand/vanilla';
import type { BlotterSource } from './Blotter';

const PAGE = 200;

/** Replaced, taken back, or not stood by: one that no longer counts. */
const GONE: ReadonlySet<string> = new Set(['WITHDRAWN', 'LAST_LOOK_REJECTED']);

export function rowOf(rfq: Rfq): RfqRow {
  const accepted = rfq.quotes.find((q) => q.quoteId === rfq.acceptedQuoteId);
  const best = rfq.quotes.find((q) => q.quoteId === rfq.bestQuoteId);
  const traded = rfq.status === 'TRADED';
  return {
    ...rfq,
    quoteCount: rfq.quotes.filter((q) => !GONE.has(q.status)).length,
    dealerCount: rfq.dealers.filter((d) => d.status !== 'EXCLUDED').length,
    bestPrice: best?.price ?? null,
    price: traded ? (accepted?.price ?? null) : null,
    lpId: accepted?.lpId ?? null,
  };
}

interface Merge<L, R> {
  key: string;
  page: (query: Query) => Promise<Page<R>>;
  live: StoreApi<Records<L>>;
  toRow: (item: L) => R;
  idOf: (row: R) => string;
  at: (row: R) => string;
  /** Is the live one at least as new as the listed one? */
  wins: (live: R, listed: R) => boolean;
}

/** Pages of the server's list with everything the stream knows put over and on top of them. */
function useMerged<L, R>(merge: Merge<L, R>): BlotterSource<R> {
  const query = useInfiniteQuery({
    queryKey: [merge.key],
    queryFn: ({ pageParam }) => merge.page({ limit: PAGE, cursor: pageParam }),
    initialPageParam: '',
    getNextPageParam: (last) => last.nextCursor,
  });
  const live = useStore(merge.live, (s) => s.byId);
  const { data } = query;
  const rows = useMemo(() => {
    const byId = new Map<string, R>();
    for (const page of data?.pages ?? [])
      for (const row of page.items) byId.set(merge.idOf(row), row);
    for (const item of live.values()) {
      const row = merge.toRow(item);
      const listed = byId.get(merge.idOf(row));
      if (!listed || merge.wins(row, listed)) byId.set(merge.idOf(row), row);
    }
    return [...byId.values()].sort((a, b) => merge.at(b).localeCompare(merge.at(a)));
  }, [data, live, merge]);
  return {
    rows,
    loading: query.isPending && rows.length === 0,
    error: query.error,
    retry: () => void query.refetch(),
    older: query.hasNextPage ? () => void query.fetchNextPage() : null,
  };
}

const RFQS: Merge<Rfq, RfqRow> = {
  key: 'rfqs',
  page: api.rfqs,
  live: rfqs.store,
  toRow: rowOf,
  idOf: (row) => row.rfqId,
  at: (row) => row.createdAt,
  wins: (live, listed) => live.version >= listed.version,
};

const TRADES: Merge<Trade, Trade> = {
  key: 'trades',
  page: api.trades,
  live: trades.store,
  toRow: (trade) => trade,
  idOf: (trade) => trade.tradeId,
  at: (trade) => trade.tradedAt,
  wins: () => true,
};

export const useRfqRows = (): BlotterSource<RfqRow> => useMerged(RFQS);
export const useTradeRows = (): BlotterSource<Trade> => useMerged(TRADES);
