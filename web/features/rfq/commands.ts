import { serverClock } from '@client/clock';
import { roleRefusal } from '@client/dealing';
import { rfqs } from '@client/records';
import type { Command } from '@model/commands';
import { isOpen } from '@model/outcome';
import { liveQuotes } from '@model/quotes';
import { T } from '@model/testids';
import { cancelRfq, requote } from './acts';
import { selectQuote, showNew, ticket } from './store';

const shown = () => {
  const { active } = ticket.getState();
  return active ? rfqs.store.getState().byId.get(active) : undefined;
};

const byTestId = (id: string) => document.querySelector<HTMLElement>(`[data-testid="${id}"]`);

function step(by: 1 | -1): void {
  const rfq = shown();
  if (!rfq) return;
  // By the order on screen, so that the arrow goes where the eye does.
  const cards = [...document.querySelectorAll<HTMLElement>('[data-testid^="quote-card:"]')];
  const live = new Set(liveQuotes(rfq, serverClock.now()).map((q) => q.quoteId));
  const ids = cards.map((c) => c.dataset.quoteId ?? '').filter((id) => live.has(id));
  if (ids.length === 0) return;
  const current = cards.find((c) => c.getAttribute('aria-pressed') === 'true')?.dataset.quoteId;
  const at = ids.indexOf(current ?? '');
  const next = ids[(at + by + ids.length) % ids.length];
  if (!next) return;
  selectQuote(rfq.rfqId, next);
  cards.find((c) => c.dataset.quoteId === next)?.focus();
}

const hasQuotes = () => {
  const rfq = shown();
  if (!rfq) return 'No RFQ is shown';
  return liveQuotes(rfq, serverClock.now()).length > 0 || 'No live quote';
};

export const rfqCommands: Command[] = [
  {
    id: 'rfq.new',
    title: 'New RFQ',
    group: 'RFQ',
    keys: ['N'],
    can: () => roleRefusal() ?? true,
    run: () => {
      showNew();
      requestAnimationFrame(() => byTestId(T.ticketInstrument)?.focus());
    },
  },
  {
    id: 'rfq.next-quote',
    title: 'Next quote',
    group: 'RFQ',
    keys: ['ArrowDown'],
    can: hasQuotes,
    run: () => step(1),
  },
  {
    id: 'rfq.previous-quote',
    title: 'Previous quote',
    group: 'RFQ',
    keys: ['ArrowUp'],
    can: hasQuotes,
    run: () => step(-1),
  },
  {
    id: 'rfq.focus-accept',
    title: 'Focus the accept or send button',
    group: 'RFQ',
    keys: ['A', 'Alt+A'],
    run: () => (byTestId(T.accept) ?? byTestId(T.ticketSend))?.focus(),
  },
  {
    id: 'rfq.requote',
    title: 'Requote',
    group: 'RFQ',
    keys: ['R'],
    can: () => {
      const rfq = shown();
      if (!rfq || isOpen(rfq.status)) return 'Nothing ended to ask again';
      return roleRefusal() ?? true;
    },
    run: () => {
      const rfq = shown();
      if (rfq) void requote(rfq);
    },
  },
  {
    id: 'rfq.cancel',
    title: 'Cancel RFQ',
    group: 'RFQ',
    keys: ['Shift+X'],
    can: () => {
      const rfq = shown();
      return (rfq && isOpen(rfq.status) && rfq.status !== 'ACCEPTED') || 'No open RFQ is shown';
    },
    run: () => {
      const rfq = shown();
      if (rfq) void cancelRfq(rfq.rfqId);
    },
  },
];
