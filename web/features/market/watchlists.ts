import { keep, usePreferences } from '@client/preferences';
import { asApiError } from '@client/problem';
import { api } from '@client/rest';
import { useSession } from '@client/session';
import { complain } from '@client/toasts';
import type { Watchlist } from '@model/types';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useMemo } from 'react';

const KEY = ['watchlists'];
const FIRST_PINS = 4;

/** The list on screen. `list` is null for the built-in list of everything. */
export interface ActiveWatchlist {
  list: Watchlist | null;
  lists: Watchlist[];
  name: string;
  instrumentIds: readonly string[];
  pinned: readonly string[];
  failure: ReturnType<typeof asApiError> | null;
  retry: () => void;
}

export function useWatchlist(): ActiveWatchlist {
  const instruments = useSession((s) => s.instruments);
  const all = useSession((s) => s.instrumentList);
  const chosen = usePreferences((k) => k.watchlistId);
  const myPins = usePreferences((k) => k.pinned);
  const query = useQuery({
    queryKey: KEY,
    queryFn: async () => (await api.watchlists()).items.sort((a, b) => a.position - b.position),
    staleTime: Number.POSITIVE_INFINITY,
  });
  const lists = query.data;
  return useMemo(() => {
    const known = (id: string) => instruments.has(id);
    // Null means everything was chosen; nothing chosen yet means the first list there is.
    const first = chosen === undefined ? lists?.[0] : undefined;
    const list = lists?.find((l) => l.watchlistId === chosen) ?? first ?? null;
    const everything = all.map((i) => i.instrumentId);
    const firstPins = everything.slice(0, FIRST_PINS);
    return {
      list,
      lists: lists ?? [],
      name: list?.name ?? 'All instruments',
      instrumentIds: list ? list.instrumentIds.filter(known) : everything,
      pinned: (list ? list.pinned : (myPins ?? firstPins)).filter(known),
      failure: query.error ? asApiError(query.error) : null,
      retry: () => void query.refetch(),
    };
  }, [all, chosen, instruments, lists, myPins, query.error, query.refetch]);
}

export interface WatchlistActs {
  choose: (watchlistId: string | null) => void;
  create: (name: string, from: readonly string[], pinned: readonly string[]) => Promise<void>;
  change: (list: Watchlist, change: Partial<Watchlist>) => Promise<void>;
  remove: (list: Watchlist) => Promise<void>;
  move: (list: Watchlist, by: -1 | 1) => Promise<void>;
  togglePin: (active: ActiveWatchlist, instrumentId: string) => void;
}

export function useWatchlistActs(): WatchlistActs {
  const client = useQueryClient();
  return useMemo(() => {
    const set = (update: (lists: Watchlist[]) => Watchlist[]) =>
      client.setQueryData<Watchlist[]>(KEY, (lists) =>
        update(lists ?? []).sort((a, b) => a.position - b.position),
      );
    const replace = (list: Watchlist) =>
      set((lists) => lists.map((l) => (l.watchlistId === list.watchlistId ? list : l)));
    const attempt = async (what: string, act: () => Promise<void>) => {
      try {
        await act();
      } catch (error) {
        const failure = asApiError(error);
        complain(`${what} was not saved`, failure.message, failure.traceId);
        await client.invalidateQueries({ queryKey: KEY });
      }
    };
    const change = (list: Watchlist, part: Partial<Watchlist>) =>
      attempt(`Watchlist ${list.name}`, async () => {
        const wanted = { ...list, ...part };
        replace(wanted);
        replace(await api.saveWatchlist(wanted));
      });
    return {
      choose: (watchlistId) => keep({ watchlistId }),
      create: (name, from, pinned) =>
        attempt(`Watchlist ${name}`, async () => {
          const made = await api.createWatchlist({
            name,
            instrumentIds: [...from],
            pinned: [...pinned],
          });
          set((lists) => [...lists, made]);
          keep({ watchlistId: made.watchlistId });
        }),
      change,
      remove: (list) =>
        attempt(`Watchlist ${list.name}`, async () => {
          await api.deleteWatchlist(list.watchlistId);
          set((lists) => lists.filter((l) => l.watchlistId !== list.watchlistId));
          keep({ watchlistId: null });
        }),
      move: (list, by) =>
        attempt('The order of watchlists', async () => {
          const lists = client.getQueryData<Watchlist[]>(KEY) ?? [];
          const from = lists.findIndex((l) => l.watchlistId === list.watchlistId);
          const ordered = [...lists];
          const [taken] = ordered.splice(from, 1);
          if (!taken) return;
          ordered.splice(Math.max(0, from + by), 0, taken);
          const saved = await Promise.all(
            ordered.map((l, position) =>
              l.position === position ? l : api.saveWatchlist({ ...l, position }),
            ),
          );
          set(() => saved);
        }),
      togglePin: (active, instrumentId) => {
        const pinned = active.pinned.includes(instrumentId)
          ? active.pinned.filter((id) => id !== instrumentId)
          : [...active.pinned, instrumentId];
        if (active.list) void change(active.list, { pinned });
        else keep({ pinned });
      },
    };
  }, [client]);
}
