import { useConnection } from '@client/hooks';
import { keep, usePreferences } from '@client/preferences';
import { useCan, useSession } from '@client/session';
import { unitWord } from '@model/price';
import { T } from '@model/testids';
import type { Instrument } from '@model/types';
import { Button, Field } from '@ui/controls';
import { Icon } from '@ui/icons';
import { Empty, Failed, Loading } from '@ui/states';
import { useMemo, useState } from 'react';
import { AddInstrument, matches } from './AddInstrument';
import { WatchlistMenu } from './WatchlistMenu';
import { type RowActs, WatchRow } from './WatchRow';
import { useWatchlist, useWatchlistActs } from './watchlists';

interface Group {
  name: string;
  rows: Instrument[];
}

function groupsOf(rows: readonly Instrument[], pinned: readonly string[]): Group[] {
  const groups = new Map<string, Instrument[]>();
  for (const row of rows) {
    if (pinned.includes(row.instrumentId)) continue;
    groups.set(row.group, [...(groups.get(row.group) ?? []), row]);
  }
  return [...groups].map(([name, members]) => ({ name, rows: members }));
}

/** What the spread column means in this group, and how 32nds are to be read. */
function unitNote(rows: readonly Instrument[]): string {
  const units = [
    ...new Set(rows.map((r) => (r.spreadUnit === '32nds' ? '32nds' : unitWord(r.spreadUnit)))),
  ];
  const note = `spread in ${units.join(', ')}`;
  return units.includes('32nds') ? `${note}; + is half a 32nd` : note;
}

const Heads = () => (
  <div className="watch-head" aria-hidden="true">
    <span>Instrument</span>
    <span />
    <span className="right">Bid</span>
    <span className="right">Ask</span>
    <span className="right watch-mid">Mid</span>
    <span className="right">Spread</span>
    <span className="watch-spark-head">30 min</span>
    <span className="right">Age</span>
  </div>
);

export function MarketWatch() {
  const active = useWatchlist();
  const acts = useWatchlistActs();
  const instruments = useSession((s) => s.instruments);
  const collapsed = usePreferences((k) => k.collapsedGroups) ?? [];
  const mayWrite = useCan('watchlist.write');
  const [filter, setFilter] = useState('');
  const linked = useConnection((c) => c.state !== 'connecting');

  const { list } = active;
  const rowActs = useMemo<RowActs>(() => {
    const inList = list && mayWrite ? list : null;
    return {
      togglePin: (id) => acts.togglePin(active, id),
      remove: inList
        ? (id) =>
            void acts.change(inList, {
              instrumentIds: inList.instrumentIds.filter((i) => i !== id),
              pinned: inList.pinned.filter((i) => i !== id),
            })
        : null,
      move: inList
        ? (id, by) => {
            const ids = [...inList.instrumentIds];
            const from = ids.indexOf(id);
            const to = from + by;
            if (from < 0 || to < 0 || to >= ids.length) return;
            ids.splice(to, 0, ...ids.splice(from, 1));
            void acts.change(inList, { instrumentIds: ids });
          }
        : null,
    };
  }, [active, acts, list, mayWrite]);

  const all = useMemo(
    () =>
      [...new Set([...active.pinned, ...active.instrumentIds])].flatMap(
        (id) => instruments.get(id) ?? [],
      ),
    [active, instruments],
  );
  if (instruments.size === 0) return <Loading what="instruments" rows={12} />;
  const rows = all.filter((i) => matches(i, filter));
  const pinnedRows = rows.filter((i) => active.pinned.includes(i.instrumentId));
  const groups: Group[] = groupsOf(rows, active.pinned);
  const toggle = (name: string) =>
    keep({
      collapsedGroups: collapsed.includes(name)
        ? collapsed.filter((g) => g !== name)
        : [...collapsed, name],
    });
  const row = (of: Instrument, pinned: boolean) => (
    <WatchRow key={of.instrumentId} of={of} pinned={pinned} acts={rowActs} />
  );
  return (
    <>
      <div className="toolbar">
        <WatchlistMenu active={active} acts={acts} />
        <Field
          icon="search"
          width={110}
          aria-label="Filter instruments"
          placeholder="Filter"
          value={filter}
          testId={T.watchFilter}
          data-quick-filter
          onChange={(event) => setFilter(event.target.value)}
        />
        <span className="spring" />
        <span className="small faint num">
          {rows.length} of {all.length}
        </span>
        {mayWrite && <AddInstrument active={active} acts={acts} />}
      </div>
      {active.failure && (
        <Failed
          what="your watchlists"
          sentence={active.failure.message}
          traceId={active.failure.traceId}
          onRetry={active.retry}
        />
      )}
      <Heads />
      <section className="watch-body" aria-label="Instruments and prices" aria-busy={!linked}>
        {pinnedRows.length > 0 && (
          <div className="group-row">
            <Icon name="pin" size={9} />
            Pinned <span className="unit">{unitNote(pinnedRows)}</span>
          </div>
        )}
        {pinnedRows.map((of) => row(of, true))}
        {groups.map((group) => {
          const shut = collapsed.includes(group.name) && filter === '';
          return (
            <div key={group.name}>
              <button
                type="button"
                className="group-row"
                aria-expanded={!shut}
                onClick={() => toggle(group.name)}
              >
                <Icon name="chevron" size={9} />
                {group.name} <span className="unit">{unitNote(group.rows)}</span>
              </button>
              {!shut && group.rows.map((of) => row(of, false))}
            </div>
          );
        })}
        {rows.length === 0 && (
          <Empty
            title={all.length === 0 ? 'This list is empty' : 'Nothing matches'}
            actions={
              filter && (
                <Button small onClick={() => setFilter('')}>
                  Clear filter
                </Button>
              )
            }
          >
            {all.length === 0
              ? 'Press Add to put instruments on it.'
              : `No instrument matches “${filter}”.`}
          </Empty>
        )}
      </section>
    </>
  );
}
