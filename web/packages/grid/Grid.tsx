import {
  type CellKeyDownEvent,
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  type ColDef,
  ColumnApiModule,
  type ColumnState,
  EventApiModule,
  type GridApi,
  ModuleRegistry,
  NumberFilterModule,
  QuickFilterModule,
  RenderApiModule,
  RowApiModule,
  RowSelectionModule,
  RowStyleModule,
  ScrollApiModule,
  TextFilterModule,
} from 'ag-grid-community';
import { AgGridReact } from 'ag-grid-react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import type { GridColumn } from './columns';
import { gridStyleContainer, gridStyleLayer } from './styles';
import { gridTheme } from './theme';

ModuleRegistry.registerModules([
  CellStyleModule,
  ClientSideRowModelApiModule,
  ClientSideRowModelModule,
  ColumnApiModule,
  EventApiModule,
  NumberFilterModule,
  QuickFilterModule,
  RenderApiModule,
  RowApiModule,
  RowSelectionModule,
  RowStyleModule,
  ScrollApiModule,
  TextFilterModule,
]);

export interface GridHandle<T> {
  /** The rows as they stand: filtered and sorted. */
  rows: () => T[];
  setVisible: (columnId: string, visible: boolean) => void;
  resetColumns: () => void;
  clearFilters: () => void;
}

export interface GridProps<T> {
  rows: readonly T[];
  columns: readonly GridColumn<T>[];
  rowId: (row: T) => string;
  quickFilter: string;
  selectedId: string | null;
  label: string;
  savedColumns: unknown;
  onColumns: (state: unknown) => void;
  onRow: (row: T) => void;
  onCount: (shown: number) => void;
  onWaiting: (count: number) => void;
  onVisible: (ids: ReadonlySet<string>) => void;
  onReady: (handle: GridHandle<T>) => void;
}

const WIDE_FROM = 1800;
// The blotter says itself, in its own words, why there is nothing.
const NO_OVERLAYS: ('noRows' | 'noMatchingRows')[] = ['noRows', 'noMatchingRows'];
const SCROLLBAR_PX = 8; // as grid.css draws it

function definition<T>(column: GridColumn<T>, wide: boolean): ColDef<T> {
  const { className } = column;
  return {
    colId: column.id,
    headerName: column.head,
    width: column.width,
    minWidth: Math.min(column.width, 40),
    ...(column.grow ? { flex: 1, minWidth: column.width } : {}),
    ...(column.sort ? { initialSort: column.sort } : {}),
    hide: column.hidden === true || (column.wide === true && !wide),
    valueGetter: ({ data }) => (data ? column.value(data) : null),
    ...(column.text
      ? { valueFormatter: ({ data }) => (data && column.text ? column.text(data) : '') }
      : {}),
    ...(column.compare ? { comparator: column.compare } : {}),
    ...(column.render
      ? {
          cellRenderer: ({ data }: { data: T | undefined }) =>
            data ? column.render?.(data) : null,
        }
      : {}),
    cellClass: ({ data }) =>
      `${column.align === 'right' ? 'cell-num' : ''} ${typeof className === 'function' ? (data ? className(data) : '') : (className ?? '')}`,
    headerClass: column.align === 'right' ? 'ag-right-aligned-header' : '',
    filter: column.numeric ? 'agNumberColumnFilter' : 'agTextColumnFilter',
    ...(column.numeric
      ? {
          filterValueGetter: ({ data }) => (data ? Number(column.value(data) ?? Number.NaN) : null),
        }
      : {
          filterValueGetter: ({ data }) =>
            data ? (column.text?.(data) ?? column.value(data)) : null,
        }),
    getQuickFilterText: ({ data }) =>
      data ? `${column.value(data) ?? ''} ${column.text?.(data) ?? ''}` : '',
  };
}

/**
 * Live rows that do not run away: while the pointer is over the body, known rows change in place
 * and new ones wait and are counted; nothing is re-sorted until the pointer leaves.
 */
export function Grid<T>(props: GridProps<T>) {
  const { rows, rowId, selectedId, onWaiting, onCount, onColumns, onVisible, onRow } = props;
  const api = useRef<GridApi<T> | null>(null);
  const [hovered, setHovered] = useState(false);
  const [shown, setShown] = useState<readonly T[]>(rows);
  const wide = window.innerWidth >= WIDE_FROM;
  const columnDefs = useMemo(
    () => props.columns.map((column) => definition(column, wide)),
    [props.columns, wide],
  );

  useEffect(() => {
    const grid = api.current;
    if (!hovered || !grid || shown.length === 0) {
      setShown(rows);
      onWaiting(0);
      return;
    }
    let waiting = 0;
    for (const row of rows) {
      const node = grid.getRowNode(rowId(row));
      if (!node) waiting += 1;
      else if (node.data !== row) node.setData(row);
    }
    onWaiting(waiting);
  }, [rows, hovered, rowId, onWaiting, shown.length]);

  const markSelected = useCallback(() => {
    const node = selectedId ? api.current?.getRowNode(selectedId) : undefined;
    if (node) node.setSelected(true, true);
    else api.current?.deselectAll();
  }, [selectedId]);
  useEffect(markSelected, [markSelected]);

  const report = useCallback(() => {
    const grid = api.current;
    if (!grid) return;
    onVisible(new Set(grid.getAllDisplayedColumns().map((c) => c.getColId())));
  }, [onVisible]);
  const columnsChanged = useCallback(
    (event: { source?: string; finished?: boolean; api: GridApi<T> }) => {
      report();
      // Only what the user did is kept; the grid's own first layout is not.
      if (event.finished === false || (!event.source?.startsWith('ui') && event.source !== 'api'))
        return;
      onColumns(event.api.getColumnState());
    },
    [onColumns, report],
  );
  const onKey = (event: CellKeyDownEvent<T> | { event?: Event | null }) => {
    const key = event.event as KeyboardEvent | undefined;
    if (key?.key === 'Enter' && 'data' in event && event.data) onRow(event.data);
  };
  return (
    <div
      className="grid-holder"
      onPointerEnter={() => setHovered(true)}
      onPointerLeave={() => setHovered(false)}
    >
      <AgGridReact<T>
        theme={gridTheme}
        themeStyleContainer={gridStyleContainer}
        themeCssLayer={gridStyleLayer}
        rowData={shown as T[]}
        columnDefs={columnDefs}
        defaultColDef={{ sortable: true, resizable: true, suppressHeaderMenuButton: true }}
        getRowId={({ data }) => rowId(data)}
        quickFilterText={props.quickFilter}
        rowSelection={{ mode: 'singleRow', checkboxes: false, enableClickSelection: false }}
        animateRows={false}
        suppressCellFocus={false}
        suppressMovableColumns={false}
        suppressOverlays={NO_OVERLAYS}
        scrollbarWidth={SCROLLBAR_PX}
        ensureDomOrder
        onGridReady={(event) => {
          api.current = event.api;
          const saved = props.savedColumns as ColumnState[] | undefined;
          if (Array.isArray(saved)) event.api.applyColumnState({ state: saved, applyOrder: true });
          markSelected();
          report();
          props.onReady({
            rows: () => {
              const out: T[] = [];
              event.api.forEachNodeAfterFilterAndSort((node) => node.data && out.push(node.data));
              return out;
            },
            setVisible: (columnId, visible) => event.api.setColumnsVisible([columnId], visible),
            clearFilters: () => event.api.setFilterModel(null),
            resetColumns: () => {
              event.api.resetColumnState();
              onColumns(null);
            },
          });
        }}
        onModelUpdated={(event) => onCount(event.api.getDisplayedRowCount())}
        onRowDataUpdated={markSelected}
        onColumnMoved={columnsChanged}
        onColumnResized={columnsChanged}
        onColumnVisible={columnsChanged}
        onSortChanged={(event) => {
          if (event.source !== 'gridInitializing') onColumns(event.api.getColumnState());
        }}
        onRowClicked={(event) => event.data && onRow(event.data)}
        onCellKeyDown={onKey}
      />
    </div>
  );
}
