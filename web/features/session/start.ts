import { serverClock } from '@client/clock';
import { connection } from '@client/connection';
import { loadPreferences } from '@client/preferences';
import { asApiError } from '@client/problem';
import { queryClient } from '@client/queries';
import { api, goToSignIn, whenSignedOut } from '@client/rest';
import { session, setInstruments, setMe } from '@client/session';
import { Stream } from '@client/stream';
import { millis } from '@model/time';
import { hasAny } from '@ui/panels';

export interface Started {
  stream: Stream;
}

const streamUrl = () => {
  const scheme = window.location.protocol === 'https:' ? 'wss:' : 'ws:';
  return `${scheme}//${window.location.host}/api/v1/stream`;
};

/** Who, what may be seen, then the stream; the rest of the screen loads beside it. */
export async function start(): Promise<Started> {
  const askedAt = Date.now();
  const me = await api.me();
  serverClock.hint(askedAt, Date.now(), millis(me.serverTime) ?? Date.now());
  setMe(me);
  // Some roles see no market at all: what they may not ask for is not asked for.
  const seesMarket = me.permissions.includes('reference.read');
  const instruments = seesMarket ? await api.instruments() : { items: [] };
  setInstruments(instruments.items);
  void loadPreferences();
  const { permissions } = session.getState();
  const stream = new Stream(streamUrl(), [
    ...(hasAny(permissions, 'rfq.read') ? (['rfqs'] as const) : []),
    ...(hasAny(permissions, 'trade.read') ? (['trades'] as const) : []),
    ...(permissions.has('notification.read') ? (['notifications'] as const) : []),
  ]);
  if (permissions.has('market.read')) stream.watch(instruments.items.map((i) => i.instrumentId));
  whenSignedOut(() => connection.setState({ state: 'signed-out', since: serverClock.now() }));
  stream.open();
  refreshAfterOutages();
  return { stream };
}

/** What lists show may have moved on while nothing was heard. */
function refreshAfterOutages(): void {
  let wasLive = false;
  let lost = false;
  connection.subscribe(({ state }) => {
    if (state === 'live') {
      if (lost)
        void queryClient.invalidateQueries({ predicate: (q) => q.queryKey[0] !== 'watchlists' });
      lost = false;
      wasLive = true;
    } else if (wasLive) lost = true;
  });
}

export const isSignedOut = (error: unknown): boolean => asApiError(error).signedOut;
export { goToSignIn };
