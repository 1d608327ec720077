import { evolve, isPending, type Outcome, type OutcomeEvent } from '@model/outcome';
import type { LimitCheck, Rfq, Side } from '@model/types';
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';

export interface Draft {
  instrumentId: string | null;
  side: Side | null;
  size: string;
  expirySeconds: number;
  partial: boolean;
  minSize: string;
  /** Dealers the user took out; whoever is not here and can be asked is asked. */
  without: string[];
}

/** What is known about the RFQ being sent. */
export type Creation =
  | { kind: 'idle' }
  | { kind: 'sending'; since: number }
  | { kind: 'unknown'; since: number; attempt: number }
  | {
      kind: 'refused';
      code: string;
      sentence: string;
      correlationId: string | null;
      checks: readonly LimitCheck[];
    };

/** An accept whose answer is not known yet; kept over a reload, so that it is asked for again. */
export interface PendingAccept {
  rfqId: string;
  quoteId: string;
  version: number;
  reason: string | null;
  key: string;
  at: number;
}

export type CancelState = { kind: 'sending' } | { kind: 'failed'; code: string; sentence: string };

interface TicketState {
  draft: Draft;
  creation: Creation;
  /** null: the new RFQ is shown. */
  active: string | null;
  tabs: readonly string[];
  selected: Readonly<Record<string, string>>;
  outcomes: Readonly<Record<string, Outcome>>;
  cancels: Readonly<Record<string, CancelState>>;
  pending: PendingAccept | null;
}

const KEPT_KEY = 'orion.ticket';
const MOST_TABS = 3;
export const EXPIRIES = [10, 15, 30, 60, 120, 300] as const;

export const emptyDraft: Draft = {
  instrumentId: null,
  side: null,
  size: '',
  expirySeconds: 30,
  partial: false,
  minSize: '',
  without: [],
};

function kept(): Pick<TicketState, 'draft' | 'active' | 'tabs' | 'pending'> {
  const nothing = { draft: emptyDraft, active: null, tabs: [], pending: null };
  try {
    const found = JSON.parse(sessionStorage.getItem(KEPT_KEY) ?? 'null') as typeof nothing | null;
    return found ? { ...nothing, ...found, draft: { ...emptyDraft, ...found.draft } } : nothing;
  } catch {
    return nothing;
  }
}

export const ticket = createStore<TicketState>(() => ({
  ...kept(),
  creation: { kind: 'idle' },
  selected: {},
  outcomes: {},
  cancels: {},
}));

// Drafts, open tabs and an unanswered accept survive a reload of this window.
ticket.subscribe(({ draft, active, tabs, pending }) => {
  try {
    sessionStorage.setItem(KEPT_KEY, JSON.stringify({ draft, active, tabs, pending }));
  } catch {
    // A full or forbidden storage costs only the survival of a reload.
  }
});

export const useTicket = <T>(select: (state: TicketState) => T): T => useStore(ticket, select);

export function changeDraft(change: Partial<Draft>): void {
  ticket.setState((s) => {
    const other = change.instrumentId !== undefined && change.instrumentId !== s.draft.instrumentId;
    // Another instrument: sizes typed for the first one must not be dealt in the second.
    const cleared = other ? { size: '', minSize: '', without: [] } : {};
    return {
      draft: { ...s.draft, ...cleared, ...change },
      creation: s.creation.kind === 'refused' ? { kind: 'idle' } : s.creation,
    };
  });
}

export function openTab(rfqId: string): void {
  ticket.setState((s) => ({
    active: rfqId,
    tabs: s.tabs.includes(rfqId) ? s.tabs : [...s.tabs, rfqId].slice(-MOST_TABS),
  }));
}

export function closeTab(rfqId: string): void {
  ticket.setState((s) => {
    const tabs = s.tabs.filter((id) => id !== rfqId);
    return { tabs, active: s.active === rfqId ? (tabs.at(-1) ?? null) : s.active };
  });
}

export const showNew = (): void => ticket.setState({ active: null });

export const selectQuote = (rfqId: string, quoteId: string): void =>
  ticket.setState((s) => ({ selected: { ...s.selected, [rfqId]: quoteId } }));

export const outcomeOf = (rfqId: string): Outcome =>
  ticket.getState().outcomes[rfqId] ?? { kind: 'idle' };

export function tell(rfqId: string, event: OutcomeEvent): Outcome {
  const before = outcomeOf(rfqId);
  const after = evolve(before, event);
  if (after !== before) {
    ticket.setState((s) => ({
      outcomes: { ...s.outcomes, [rfqId]: after },
      pending: s.pending?.rfqId === rfqId && !isPending(after) ? null : s.pending,
    }));
  }
  return after;
}

export function setCancel(rfqId: string, state: CancelState | null): void {
  ticket.setState((s) => {
    const { [rfqId]: _, ...rest } = s.cancels;
    return { cancels: state ? { ...rest, [rfqId]: state } : rest };
  });
}

export const draftOf = (rfq: Rfq): Draft => ({
  ...emptyDraft,
  instrumentId: rfq.instrumentId,
  side: rfq.side,
  size: rfq.size,
  expirySeconds: rfq.expirySeconds,
  partial: rfq.partialAllowed,
  minSize: rfq.minSize ?? '',
});
