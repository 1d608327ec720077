import { toCsv } from '@model/csv';
import { csvColumns, type GridColumn } from './columns';

/** Gives the browser a CSV file of these rows; times in the name are UTC. */
export function downloadCsv<T>(
  name: string,
  columns: readonly GridColumn<T>[],
  rows: readonly T[],
): void {
  const text = toCsv(csvColumns(columns), rows);
  downloadText(
    `${name}-${new Date().toISOString().replaceAll(':', '')}.csv`,
    text,
    'text/csv;charset=utf-8',
  );
}

export function downloadText(fileName: string, text: string, type: string): void {
  const url = URL.createObjectURL(new Blob([text], { type }));
  const link = document.createElement('a');
  link.href = url;
  link.download = fileName;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}
