import type { Instrument, Me } from '@model/types';
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';

export interface Session {
  me: Me | null;
  permissions: ReadonlySet<string>;
  instruments: ReadonlyMap<string, Instrument>;
  /** In the order the server gave them. */
  instrumentList: readonly Instrument[];
}

export const session = createStore<Session>(() => ({
  me: null,
  permissions: new Set(),
  instruments: new Map(),
  instrumentList: [],
}));

export function setMe(me: Me): void {
  session.setState({ me, permissions: new Set(me.permissions) });
}

export function setInstruments(items: readonly Instrument[]): void {
  session.setState({
    instruments: new Map(items.map((i) => [i.instrumentId, i])),
    instrumentList: items,
  });
}

export const useSession = <T>(select: (state: Session) => T): T => useStore(session, select);
export const useCan = (permission: string): boolean =>
  useStore(session, (s) => s.permissions.has(permission));
export const useInstrument = (id: string | null | undefined): Instrument | undefined =>
  useStore(session, (s) => (id ? s.instruments.get(id) : undefined));
