import { serverClock } from '@client/clock';
import { desk, showTimeline } from '@client/desk';
import { asApiError } from '@client/problem';
import { rfqs } from '@client/records';
import { api, newKey } from '@client/rest';
import { session } from '@client/session';
import { fullSize, parseSize } from '@model/notional';
import { isPending } from '@model/outcome';
import { priceText } from '@model/price';
import type { CreateRfq, LimitCheck, Quote, Rfq } from '@model/types';
import {
  type Creation,
  changeDraft,
  type Draft,
  openTab,
  outcomeOf,
  type PendingAccept,
  setCancel,
  showNew,
  tell,
  ticket,
} from './store';

const FIRST_WAIT_MS = 1_000;
const LONGEST_WAIT_MS = 5_000;
const MOST_TRIES = 30;
const WATCH_MS = 2_000;

const pause = (ms: number) => new Promise<void>((done) => setTimeout(done, ms));
const waitFor = (attempt: number) => Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** (attempt - 1));

/** The request a draft stands for, or why it cannot be sent yet. */
export function requestOf(
  draft: Draft,
  lpIds: readonly string[],
  allDealers: boolean,
): CreateRfq | string {
  const of = draft.instrumentId
    ? session.getState().instruments.get(draft.instrumentId)
    : undefined;
  if (!of) return 'Choose an instrument';
  if (!draft.side) return 'Choose Buy or Sell';
  const size = parseSize(draft.size, of);
  if (!size.ok) return size.message;
  if (lpIds.length === 0) return 'Choose at least one dealer';
  const request: CreateRfq = {
    instrumentId: of.instrumentId,
    side: draft.side,
    size: size.value,
    expirySeconds: draft.expirySeconds,
    partialAllowed: draft.partial,
    ...(allDealers ? {} : { lpIds: [...lpIds] }),
  };
  if (draft.partial && draft.minSize.trim() !== '') {
    const least = parseSize(draft.minSize, { ...of, maxSize: size.value });
    if (!least.ok) return `Min size: ${least.message}`;
    request.minSize = least.value;
  }
  return request;
}

const setCreation = (creation: Creation) => ticket.setState({ creation });

/** Sends once; while the outcome is unknown the same request goes again with the same key. */
export async function sendRfq(request: CreateRfq): Promise<void> {
  const { kind } = ticket.getState().creation;
  if (kind === 'sending' || kind === 'unknown') return;
  const key = newKey();
  const since = serverClock.now();
  setCreation({ kind: 'sending', since });
  for (let attempt = 1; attempt <= MOST_TRIES; attempt++) {
    try {
      const rfq = await api.createRfq(request, key);
      rfqs.put([rfq]);
      openTab(rfq.rfqId);
      showTimeline(subjectOf(rfq));
      setCreation({ kind: 'idle' });
      ticket.setState((s) => ({ draft: { ...s.draft, size: '', minSize: '' } }));
      return;
    } catch (error) {
      const failure = asApiError(error);
      if (!failure.outcomeUnknown) {
        setCreation({
          kind: 'refused',
          code: failure.code,
          sentence: failure.body.errors?.[0]?.message ?? failure.message,
          correlationId: failure.traceId,
          checks: (failure.body.checks as LimitCheck[] | undefined) ?? [],
        });
        return;
      }
      setCreation({ kind: 'unknown', since, attempt });
      await pause(waitFor(attempt));
    }
  }
  setCreation({
    kind: 'refused',
    code: 'Unknown',
    sentence: 'No answer came. Look for it among your RFQs before you send it again',
    correlationId: null,
    checks: [],
  });
}

export function subjectOf(
  rfq: Pick<Rfq, 'correlationId' | 'displayId' | 'side' | 'size' | 'instrumentId'>,
) {
  const of = session.getState().instruments.get(rfq.instrumentId);
  return {
    correlationId: rfq.correlationId,
    displayId: rfq.displayId,
    side: rfq.side,
    text: `${fullSize(rfq.size)} ${of?.symbol ?? rfq.instrumentId}`,
  };
}

function tradedSubject(rfq: Rfq) {
  const of = session.getState().instruments.get(rfq.instrumentId);
  const won = rfq.quotes.find((q) => q.quoteId === rfq.acceptedQuoteId);
  const subject = subjectOf(rfq);
  return {
    ...subject,
    displayId: rfq.tradeDisplayId ?? rfq.displayId,
    text: won ? `${subject.text} at ${priceText(won.price, of)}` : subject.text,
  };
}

function saw(rfq: Rfq, answered: boolean): void {
  rfqs.put([rfq]);
  const before = outcomeOf(rfq.rfqId);
  const after = tell(rfq.rfqId, { type: 'saw', rfq, answered });
  if (after.kind === 'done' && before.kind !== 'done') showTimeline(tradedSubject(rfq));
}

async function refresh(rfqId: string): Promise<void> {
  try {
    saw(await api.rfq(rfqId), false);
  } catch {
    // The stream and the next round bring it; a failed look changes nothing.
  }
}

/** One accept, sent once by the user; the same key makes every resend the same act. */
export async function acceptQuote(rfq: Rfq, quote: Quote, reason: string | null): Promise<void> {
  if (isPending(outcomeOf(rfq.rfqId)) || ticket.getState().pending?.rfqId === rfq.rfqId) return;
  const at = serverClock.now();
  const pending: PendingAccept = {
    rfqId: rfq.rfqId,
    quoteId: quote.quoteId,
    version: rfq.version,
    reason,
    key: newKey(),
    at,
  };
  ticket.setState({ pending });
  tell(rfq.rfqId, { type: 'sent', quoteId: quote.quoteId, at });
  await carryOut(pending);
}

async function carryOut(pending: PendingAccept): Promise<void> {
  const { rfqId, quoteId, version, reason, key } = pending;
  for (let attempt = 1; attempt <= MOST_TRIES; attempt++) {
    try {
      const body = { quoteId, version, ...(reason ? { reason } : {}) };
      saw(await api.accept(rfqId, body, key), true);
      return watch(rfqId);
    } catch (error) {
      const failure = asApiError(error);
      if (!failure.outcomeUnknown) {
        tell(rfqId, {
          type: 'refused',
          code: failure.code,
          sentence: failure.message,
          correlationId: failure.traceId,
        });
        return refresh(rfqId);
      }
      const wait = waitFor(attempt);
      tell(rfqId, { type: 'lost', at: serverClock.now(), nextAt: serverClock.now() + wait });
      await refresh(rfqId);
      if (!isPending(outcomeOf(rfqId))) return;
      await pause(wait);
    }
  }
}

/** While a last look or the trade is awaited, ask as well as listen: the stream may be down. */
async function watch(rfqId: string): Promise<void> {
  for (let round = 0; round < MOST_TRIES * 2 && isPending(outcomeOf(rfqId)); round++) {
    await pause(WATCH_MS);
    if (isPending(outcomeOf(rfqId))) await refresh(rfqId);
  }
}

export async function cancelRfq(rfqId: string): Promise<void> {
  if (ticket.getState().cancels[rfqId]?.kind === 'sending') return;
  const key = newKey();
  setCancel(rfqId, { kind: 'sending' });
  for (let attempt = 1; attempt <= MOST_TRIES; attempt++) {
    try {
      rfqs.put([await api.cancel(rfqId, key)]);
      return setCancel(rfqId, null);
    } catch (error) {
      const failure = asApiError(error);
      if (!failure.outcomeUnknown) {
        setCancel(rfqId, { kind: 'failed', code: failure.code, sentence: failure.message });
        return refresh(rfqId);
      }
      await pause(waitFor(attempt));
    }
  }
  setCancel(rfqId, { kind: 'failed', code: 'Unknown', sentence: 'No answer came to the cancel' });
}

/** Asks the same dealers for the same again, in one press. */
export function requote(rfq: Rfq): Promise<void> {
  const asked = rfq.dealers.filter((d) => d.status !== 'EXCLUDED').map((d) => d.lpId);
  return sendRfq({
    instrumentId: rfq.instrumentId,
    side: rfq.side,
    size: rfq.size,
    expirySeconds: rfq.expirySeconds,
    partialAllowed: rfq.partialAllowed,
    ...(rfq.minSize ? { minSize: rfq.minSize } : {}),
    ...(asked.length > 0 ? { lpIds: asked } : {}),
  });
}

/** Other panels wish for a filled ticket or an RFQ; nothing they wish is ever sent. */
function followWishes(): void {
  let seen = { prefill: 0, open: 0 };
  desk.subscribe(({ prefill, openRfq }) => {
    if (prefill && prefill.wish !== seen.prefill) {
      seen = { ...seen, prefill: prefill.wish };
      changeDraft({ instrumentId: prefill.instrumentId });
      changeDraft({ side: prefill.side, ...(prefill.size ? { size: prefill.size } : {}) });
      showNew();
      requestAnimationFrame(() => document.getElementById('ticket-size')?.focus());
    }
    if (openRfq && openRfq.wish !== seen.open) {
      seen = { ...seen, open: openRfq.wish };
      openTab(openRfq.rfqId);
      if (!rfqs.store.getState().byId.has(openRfq.rfqId)) void refresh(openRfq.rfqId);
    }
  });
}

/** Called once at start: finishes what a reload interrupted and follows pushes. */
export function startRfqActs(): () => void {
  followWishes();
  const { pending, tabs } = ticket.getState();
  for (const rfqId of tabs) void refresh(rfqId);
  if (pending) {
    tell(pending.rfqId, { type: 'sent', quoteId: pending.quoteId, at: pending.at });
    void carryOut(pending);
  }
  let adopted = tabs.length > 0;
  return rfqs.store.subscribe(({ byId, current }) => {
    for (const [rfqId, outcome] of Object.entries(ticket.getState().outcomes)) {
      const rfq = byId.get(rfqId);
      if (!rfq || !isPending(outcome)) continue;
      const after = tell(rfqId, { type: 'saw', rfq, answered: false });
      if (after.kind === 'done') showTimeline(tradedSubject(rfq));
    }
    // A new window (or a lost session store) shows the user's own open RFQ instead of nothing.
    if (adopted || !current) return;
    adopted = true;
    const user = session.getState().me?.user;
    const mine = [...byId.values()]
      .filter((r) => r.requester === user && ['SENT', 'QUOTING', 'ACCEPTED'].includes(r.status))
      .sort((a, b) => a.createdAt.localeCompare(b.createdAt));
    for (const rfq of mine) openTab(rfq.rfqId);
  });
}
