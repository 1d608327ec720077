import type { Dealer } from '@model/types';
import { useQuery } from '@tanstack/react-query';
import { queryClient } from './queries';
import { api } from './rest';
import { useCan } from './session';

const KEY = ['dealers'];
const REFRESH_MS = 15_000;

/** The dealers with their scorecards, kept fresh while somebody looks. */
export function useDealers() {
  const may = useCan('dealers.read');
  return useQuery({
    queryKey: KEY,
    queryFn: async () => (await api.dealers()).items,
    enabled: may,
    refetchInterval: REFRESH_MS,
  });
}

/** The name people know a dealer by; its id where the name is not known (yet). */
export function dealerName(lpId: string | null): string | null {
  if (lpId === null) return null;
  const known = queryClient.getQueryData<Dealer[]>(KEY);
  return known?.find((dealer) => dealer.lpId === lpId)?.name ?? lpId;
}
