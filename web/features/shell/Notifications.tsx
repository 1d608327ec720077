import { showTimeline } from '@client/desk';
import { notifications, rfqs } from '@client/records';
import { api } from '@client/rest';
import { useSession } from '@client/session';
import { fullSize } from '@model/notional';
import { T } from '@model/testids';
import { clockOf } from '@model/time';
import type { Notification } from '@model/types';
import { Button } from '@ui/controls';
import { Icon, type IconName } from '@ui/icons';
import { Popover } from '@ui/layers';
import { useEffect, useMemo, useState } from 'react';
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

const NONE: readonly Notification[] = [];
// The list behind the stream may hear of an event a moment later than the screen.
const SETTLE_MS = 400;
const MOST_MARKED = 200;

/** What is open before somebody's eyes was read: the server keeps that, for every screen of theirs. */
function markRead(items: readonly Notification[]): void {
  const fresh = items.filter((n) => !n.read).slice(0, MOST_MARKED);
  if (fresh.length === 0) return;
  api
    .markRead(fresh.map((n) => n.notificationId))
    .then(() => notifications.put(fresh.map((n) => ({ ...n, read: true }))))
    .catch(() => {}); // the badge stays, and the next look tries again
}

export function Notifications() {
  const may = useSession((s) => s.permissions.has('notification.read'));
  const byId = useStore(notifications.store, (s) => s.byId);
  const [open, setOpen] = useState(false);
  const items = useMemo(() => [...byId.values()].sort((a, b) => b.at.localeCompare(a.at)), [byId]);
  const unread = items.filter((n) => !n.read).length;
  const readFrom = document.visibilityState === 'visible' && open ? items : NONE;
  useEffect(() => {
    const timer = setTimeout(() => markRead(readFrom), SETTLE_MS);
    return () => clearTimeout(timer);
  }, [readFrom]);
  if (!may) return null;
  return (
    <Popover
      label="Notifications"
      open={open}
      onOpenChange={setOpen}
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
          <Item key={note.notificationId} note={note} onOpened={() => setOpen(false)} />
        ))}
        {items.length === 0 && <li className="faint">Nothing has happened yet.</li>}
      </ul>
    </Popover>
  );
}
