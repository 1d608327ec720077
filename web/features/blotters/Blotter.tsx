import { keep, preferences } from '@client/preferences';
import { asApiError } from '@client/problem';
import { useSession } from '@client/session';
import type { GridColumn } from '@grid/columns';
import { downloadCsv } from '@grid/download';
import type { GridHandle } from '@grid/Grid';
import { LazyGrid } from '@grid/lazy';
import { T } from '@model/testids';
import { dayOf } from '@model/time';
import { Button, Check, Field, IconButton } from '@ui/controls';
import { Popover } from '@ui/layers';
import { Empty, Failed, Loading } from '@ui/states';
import { type ReactNode, useCallback, useMemo, useState } from 'react';

interface BlotterRow {
  requester: string;
}

export interface BlotterSource<R> {
  rows: readonly R[];
  loading: boolean;
  error: unknown;
  retry: () => void;
  older: (() => void) | null;
}

interface BlotterProps<R extends BlotterRow> {
  id: 'rfq-blotter' | 'trade-blotter';
  what: string;
  source: BlotterSource<R>;
  columns: readonly GridColumn<R>[];
  rowId: (row: R) => string;
  at: (row: R) => string;
  selectedId: string | null;
  onRow: (row: R) => void;
  empty: ReactNode;
  foot: (rows: readonly R[]) => ReactNode;
}

function ColumnChooser<R>({
  id,
  columns,
  visible,
  handle,
}: {
  id: string;
  columns: readonly GridColumn<R>[];
  visible: ReadonlySet<string>;
  handle: GridHandle<R> | null;
}) {
  return (
    <Popover
      label="Columns"
      trigger={<IconButton icon="columns" label="Columns" testId={T.columns(id)} />}
    >
      <div className="column-list">
        {columns.map((column) => (
          <Check
            key={column.id}
            checked={visible.has(column.id)}
            onChange={(on) => handle?.setVisible(column.id, on)}
          >
            {column.name ?? column.head}
          </Check>
        ))}
        <Button small onClick={() => handle?.resetColumns()}>
          Reset columns
        </Button>
      </div>
    </Popover>
  );
}

/** Server rows with live rows on top: search, two quick chips, columns, CSV, a row to its story. */
export function Blotter<R extends BlotterRow>(props: BlotterProps<R>) {
  const { id, source, columns, at } = props;
  const user = useSession((s) => s.me?.user);
  const deals = useSession((s) => s.permissions.has('rfq.create'));
  const [mine, setMine] = useState(deals);
  const [today, setToday] = useState(true);
  const [quick, setQuick] = useState('');
  const [count, setCount] = useState(0);
  const [waiting, setWaiting] = useState(0);
  const [handle, setHandle] = useState<GridHandle<R> | null>(null);
  const [visible, setVisible] = useState<ReadonlySet<string>>(new Set());
  const rows = useMemo(() => {
    const day = dayOf(Date.now());
    return source.rows.filter(
      (row) => (!mine || row.requester === user) && (!today || at(row).startsWith(day)),
    );
  }, [source.rows, mine, today, user, at]);
  const saveColumns = useCallback(
    (state: unknown) => keep({ columns: { ...preferences.getState().kept.columns, [id]: state } }),
    [id],
  );
  if (source.error && source.rows.length === 0) {
    const failure = asApiError(source.error);
    return (
      <Failed
        what={props.what}
        sentence={failure.message}
        traceId={failure.traceId}
        onRetry={source.retry}
      />
    );
  }
  if (source.loading) return <Loading what={props.what} rows={6} />;
  const chip = (on: boolean, set: (on: boolean) => void, word: string, testId: string) => (
    <button
      type="button"
      className="chip"
      aria-pressed={on}
      data-testid={testId}
      onClick={() => set(!on)}
    >
      {word}
    </button>
  );
  return (
    <>
      <div className="toolbar">
        <Field
          icon="search"
          width={112}
          aria-label={`Quick filter of ${props.what}`}
          placeholder="Quick filter"
          value={quick}
          testId={T.quickFilter(id)}
          data-quick-filter
          onChange={(event) => setQuick(event.target.value)}
        />
        {chip(mine, setMine, 'Mine', T.mine(id))}
        {chip(today, setToday, 'Today', T.today(id))}
        <span className="spring" />
        <span className="small dim num" data-testid={T.count(id)}>
          {count} of {source.rows.length}
        </span>
        <ColumnChooser id={id} columns={columns} visible={visible} handle={handle} />
        <Button
          small
          icon="download"
          testId={T.csv(id)}
          title="Download what the filter and sort show, in full precision"
          disabled={!handle || count === 0}
          onClick={() => handle && downloadCsv(id, columns, handle.rows())}
        >
          CSV
        </Button>
      </div>
      <div className="blotter" data-testid={T.grid(id)}>
        <LazyGrid<R>
          rows={rows}
          columns={columns}
          rowId={props.rowId}
          quickFilter={quick}
          selectedId={props.selectedId}
          label={props.what}
          savedColumns={preferences.getState().kept.columns?.[id]}
          onColumns={saveColumns}
          onRow={props.onRow}
          onCount={setCount}
          onWaiting={setWaiting}
          onVisible={setVisible}
          onReady={setHandle}
        />
        {(rows.length === 0 || count === 0) && handle && (
          <div className="blotter-empty">
            {source.rows.length === 0 ? (
              props.empty
            ) : (
              <Empty
                title="The filters hide every row"
                actions={
                  <Button
                    small
                    onClick={() => {
                      setMine(false);
                      setToday(false);
                      setQuick('');
                      handle.clearFilters();
                    }}
                  >
                    Show all
                  </Button>
                }
              >
                {source.rows.length} {source.rows.length === 1 ? 'row is' : 'rows are'} loaded.
              </Empty>
            )}
          </div>
        )}
        {waiting > 0 && (
          <output className="btn btn-small new-rows" data-testid={T.newRows(id)}>
            {waiting} new {waiting === 1 ? 'row' : 'rows'}
          </output>
        )}
      </div>
      <div className="foot">
        {props.foot(rows)}
        <span className="spring" />
        {source.older && (
          <Button small kind="bare" onClick={source.older}>
            Load older
          </Button>
        )}
      </div>
    </>
  );
}
