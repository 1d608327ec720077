import { useCan } from '@client/session';
import { T } from '@model/testids';
import type { Watchlist } from '@model/types';
import { Button, Field } from '@ui/controls';
import { Icon } from '@ui/icons';
import { Dialog, Menu, MenuItem, MenuLine, MenuTitle } from '@ui/layers';
import { useState } from 'react';
import type { ActiveWatchlist, WatchlistActs } from './watchlists';

type Asked = { act: 'create' } | { act: 'rename' | 'delete'; list: Watchlist } | null;

const LONGEST_NAME = 60;

function NameDialog({
  title,
  first,
  verb,
  onDone,
  onClose,
}: {
  title: string;
  first: string;
  verb: string;
  onDone: (name: string) => void;
  onClose: () => void;
}) {
  const [name, setName] = useState(first);
  const good = name.trim().length > 0;
  return (
    <Dialog open title={title} onClose={onClose}>
      <div className="dialog-body">
        <Field
          aria-label="Name of the watchlist"
          placeholder="Name"
          value={name}
          maxLength={LONGEST_NAME}
          onChange={(event) => setName(event.target.value)}
        />
      </div>
      <footer className="dialog-foot">
        <Button onClick={onClose}>Cancel</Button>
        <Button kind="primary" disabled={!good} onClick={() => onDone(name.trim())}>
          {verb}
        </Button>
      </footer>
    </Dialog>
  );
}

export function WatchlistMenu({ active, acts }: { active: ActiveWatchlist; acts: WatchlistActs }) {
  const [asked, setAsked] = useState<Asked>(null);
  const mayWrite = useCan('watchlist.write');
  const refusal = mayWrite ? null : 'not your role';
  const { list, lists } = active;
  const position = lists.findIndex((l) => l.watchlistId === list?.watchlistId);
  const close = () => setAsked(null);
  return (
    <>
      <Menu
        align="start"
        label="Watchlists"
        trigger={
          <Button small className="clip" testId={T.watchlistMenu} title="Choose a watchlist">
            <span className="clip">{active.name}</span>
            <Icon name="chevron" size={9} />
          </Button>
        }
      >
        <MenuTitle>Watchlists</MenuTitle>
        <MenuItem checked={list === null} onSelect={() => acts.choose(null)}>
          All instruments
        </MenuItem>
        {lists.map((one) => (
          <MenuItem
            key={one.watchlistId}
            checked={one.watchlistId === list?.watchlistId}
            onSelect={() => acts.choose(one.watchlistId)}
          >
            {one.name}
          </MenuItem>
        ))}
        <MenuLine />
        <MenuItem icon="plus" refusal={refusal} onSelect={() => setAsked({ act: 'create' })}>
          New from these…
        </MenuItem>
        {list && (
          <>
            <MenuItem refusal={refusal} onSelect={() => setAsked({ act: 'rename', list })}>
              Rename…
            </MenuItem>
            <MenuItem
              refusal={refusal ?? (position <= 0 ? 'is first' : null)}
              onSelect={() => void acts.move(list, -1)}
            >
              Move up
            </MenuItem>
            <MenuItem
              refusal={refusal ?? (position >= lists.length - 1 ? 'is last' : null)}
              onSelect={() => void acts.move(list, 1)}
            >
              Move down
            </MenuItem>
            <MenuItem
              icon="cross"
              refusal={refusal}
              onSelect={() => setAsked({ act: 'delete', list })}
            >
              Delete…
            </MenuItem>
          </>
        )}
      </Menu>
      {asked?.act === 'create' && (
        <NameDialog
          title="New watchlist"
          first=""
          verb="Create"
          onClose={close}
          onDone={(name) => {
            void acts.create(name, active.instrumentIds, active.pinned);
            close();
          }}
        />
      )}
      {asked?.act === 'rename' && (
        <NameDialog
          title={`Rename ${asked.list.name}`}
          first={asked.list.name}
          verb="Rename"
          onClose={close}
          onDone={(name) => {
            void acts.change(asked.list, { name });
            close();
          }}
        />
      )}
      {asked?.act === 'delete' && (
        <Dialog open title={`Delete ${asked.list.name}?`} onClose={close}>
          <p className="dialog-body">
            The list of {asked.list.instrumentIds.length} instruments goes; the instruments stay.
          </p>
          <footer className="dialog-foot">
            <Button onClick={close}>Cancel</Button>
            <Button
              kind="primary"
              onClick={() => {
                void acts.remove(asked.list);
                close();
              }}
            >
              Delete list
            </Button>
          </footer>
        </Dialog>
      )}
    </>
  );
}
