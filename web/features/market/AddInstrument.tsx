import { useSession } from '@client/session';
import { T } from '@model/testids';
import type { Instrument } from '@model/types';
import { Button, Field } from '@ui/controls';
import { Icon } from '@ui/icons';
import { Popover } from '@ui/layers';
import { useState } from 'react';
import type { ActiveWatchlist, WatchlistActs } from './watchlists';

export function matches(of: Instrument, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  const hay =
    `${of.symbol} ${of.instrumentId} ${of.displayName} ${of.group} ${of.isin ?? ''}`.toLowerCase();
  return words.every((word) => hay.includes(word));
}

/** Adds to or takes from the chosen list. The list of everything cannot be changed. */
export function AddInstrument({ active, acts }: { active: ActiveWatchlist; acts: WatchlistActs }) {
  const [text, setText] = useState('');
  const all = useSession((s) => s.instrumentList);
  const { list } = active;
  if (!list) return null;
  const toggle = (id: string) => {
    const has = list.instrumentIds.includes(id);
    void acts.change(list, {
      instrumentIds: has ? list.instrumentIds.filter((i) => i !== id) : [...list.instrumentIds, id],
      pinned: has ? list.pinned.filter((i) => i !== id) : list.pinned,
    });
  };
  return (
    <Popover
      label={`Add to ${list.name}`}
      trigger={
        <Button small kind="bare" icon="plus" testId={T.watchAdd}>
          Add
        </Button>
      }
    >
      <Field
        icon="search"
        aria-label="Find an instrument"
        placeholder="Symbol, name or ISIN"
        value={text}
        onChange={(event) => setText(event.target.value)}
      />
      <ul className="pick-list">
        {all
          .filter((i) => matches(i, text))
          .map((i) => {
            const has = list.instrumentIds.includes(i.instrumentId);
            return (
              <li key={i.instrumentId}>
                <button type="button" aria-pressed={has} onClick={() => toggle(i.instrumentId)}>
                  <Icon name={has ? 'check' : 'plus'} />
                  <span className="strong">{i.symbol}</span>
                  <span className="faint small clip">{i.displayName}</span>
                </button>
              </li>
            );
          })}
      </ul>
    </Popover>
  );
}
