import { rfqs } from '@client/records';
import { useCan } from '@client/session';
import { isOpen } from '@model/outcome';
import { T } from '@model/testids';
import { clockOf } from '@model/time';
import { Icon } from '@ui/icons';
import { hasAny, type PanelSpec } from '@ui/panels';
import { useStore } from 'zustand';
import './rfq.css';
import { closeTab, openTab, showNew, useTicket } from './store';
import { Ticket } from './Ticket';

function RfqTab({ rfqId, on }: { rfqId: string; on: boolean }) {
  const rfq = useStore(rfqs.store, (s) => s.byId.get(rfqId));
  return (
    <button
      type="button"
      role="tab"
      aria-selected={on}
      className={`tab ${on ? 'tab-on' : ''}`}
      data-testid={T.ticketTab(rfqId)}
      onClick={() => openTab(rfqId)}
    >
      RFQ {rfq?.displayId ?? '…'}
    </button>
  );
}

function TicketTabs() {
  const tabs = useTicket((s) => s.tabs);
  const active = useTicket((s) => s.active);
  const deals = useCan('rfq.create');
  return (
    <>
      {tabs.map((rfqId) => (
        <RfqTab key={rfqId} rfqId={rfqId} on={rfqId === active} />
      ))}
      <button
        type="button"
        role="tab"
        aria-selected={active === null}
        className={`tab ${active === null ? 'tab-on' : ''}`}
        data-testid={T.ticketNew}
        onClick={showNew}
      >
        {deals ? 'New RFQ' : 'RFQ'}
      </button>
    </>
  );
}

/** Beside the tabs, not among them: a list of tabs may hold nothing else. */
function SentNote() {
  const active = useTicket((s) => s.active);
  const rfq = useStore(rfqs.store, (s) => (active ? s.byId.get(active) : undefined));
  if (!rfq) return null;
  return (
    <>
      <Icon name="lock" /> Sent {clockOf(rfq.createdAt)}, terms locked
      {!isOpen(rfq.status) && (
        <button
          type="button"
          className="icon-btn tab-close"
          aria-label={`Close ${rfq.displayId}`}
          title="Close this tab; the RFQ stays in the blotter"
          onClick={() => closeTab(rfq.rfqId)}
        >
          <Icon name="cross" size={9} />
        </button>
      )}
    </>
  );
}

export const panels: PanelSpec[] = [
  {
    id: 'ticket',
    title: 'RFQ ticket',
    slot: 'centre',
    order: 30,
    may: (p) => p.has('rfq.create') || hasAny(p, 'rfq.read'),
    Body: Ticket,
    Tabs: TicketTabs,
    Note: SentNote,
    menu: ['rfq.new', 'rfq.requote', 'rfq.cancel'],
  },
];

export { startRfqActs } from './acts';
export { rfqCommands as commands } from './commands';
