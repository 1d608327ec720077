import { showTimeline } from '@client/desk';
import { notifications, rfqs } from '@client/records';
import { useSession } from '@client/session';
import { fullSize } from '@model/notional';
import { T } from '@model/testids';
import { clockOf } from '@model/time';
import type { Notification } from '@model/types';
import { Button } from '@ui/controls';
import { Icon, type IconName } from '@ui/icons';
import { Popover } from '@ui/layers';
import { useMemo, useState } from 'react';
import { useStore } from 'zustand';

const ICON: Record<string, { icon: IconName; tone: string }> = {
  INFO: { icon: 'info', tone: '' },
  WARN: { icon: 'triangle', tone: 'tone-warn' },
  BAD: { icon: 'alert', tone: 'tone-bad' },
};

const MOST_SHOWN = 50;

function Item({ note, onOpened }: { note: Notification; onOpened: () => void }) {
  const look = ICON[note.severity] ?? { icon: 'info' as const, tone: '' };
  const rfq = useStore(rfqs.store, (s) => (note.rfqId ? s.byId.get(note.rfqId) : undefined));
  const { correlationId } = note;
  const open = () => {
    if (!correlationId) return;
    showTimeline({
      correlationId,
      displayId: rfq?.displayId ?? note.title,
      side: rfq?.side ?? 'BUY',
      text: rfq ? `${fullSize(rfq.size)} ${rfq.instrumentId}` : '',
    });
    onOpened();
  };
  return (
    <li>
      <span className={look.tone}>
        <Icon name={look.icon} />
      </span>
      <span className="strong">{note.title}</span>
      <span className="faint small num">{clockOf(note.at, false)}</span>
      <p>
        {note.text}{' '}
        {correlationId && rfq && (
          <Button small kind="bare" onClick={open}>
            Time line
          </Button>
        )}
      </p>
    </li>
  );
}

export function Notifications() {
  const may = useSession((s) => s.permissions.has('notification.read'));
  const byId = useStore(notifications.store, (s) => s.byId);
  const [open, setOpen] = useState(false);
  const [seen, setSeen] = useState<ReadonlySet<string>>(new Set());
  const items = useMemo(() => [...byId.values()].sort((a, b) => b.at.localeCompare(a.at)), [byId]);
  if (!may) return null;
  const unread = items.filter((n) => !n.read && !seen.has(n.notificationId)).length;
  const toggle = (next: boolean) => {
    setOpen(next);
    if (!next) setSeen(new Set(items.map((n) => n.notificationId)));
  };
  return (
    <Popover
      label="Notifications"
      open={open}
      onOpenChange={toggle}
      trigger={
        <button
          type="button"
          className="icon-btn bell"
          aria-label={`Notifications, ${unread} not seen`}
          title="Notifications"
          data-testid={T.bell}
        >
          <Icon name="bell" size={14} />
          {unread > 0 && <span className="num">{unread}</span>}
        </button>
      }
    >
      <ul className="notes" data-testid={T.notifications}>
        {items.slice(0, MOST_SHOWN).map((note) => (
          <Item key={note.notificationId} note={note} onOpened={() => toggle(false)} />
        ))}
        {items.length === 0 && <li className="faint">Nothing has happened yet.</li>}
      </ul>
    </Popover>
  );
}
