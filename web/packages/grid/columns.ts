import type { CsvColumn } from '@model/csv';
import type { ReactNode } from 'react';

export type CellValue = string | number | null;

/** A column in our own words; the grid library is behind it. */
export interface GridColumn<T> {
  id: string;
  head: string;
  /** The full name, for the column chooser and the CSV header. */
  name?: string;
  width: number;
  grow?: boolean;
  align?: 'right';
  /** What is sorted, filtered and searched. Decimal texts are compared as numbers by `compare`. */
  value: (row: T) => CellValue;
  text?: (row: T) => string;
  render?: (row: T) => ReactNode;
  compare?: (a: CellValue, b: CellValue) => number;
  className?: string | ((row: T) => string);
  /** Not shown until it is chosen (or there is room, see `wide`). */
  hidden?: boolean;
  /** Shown from a wide screen on. */
  wide?: boolean;
  numeric?: boolean;
  /** The order a fresh grid starts with. */
  sort?: 'asc' | 'desc';
  /** Full precision for the file; without it the sorted value is written. */
  csv?: CsvColumn<T>['value'];
}

export const csvColumns = <T>(columns: readonly GridColumn<T>[]): CsvColumn<T>[] =>
  columns.map((c) => ({ header: c.name ?? c.head, value: c.csv ?? c.value }));

/** For decimal texts: by size, blanks last. */
export function byNumber(a: CellValue, b: CellValue): number {
  if (a === null || a === '') return b === null || b === '' ? 0 : 1;
  if (b === null || b === '') return -1;
  return Number(a) - Number(b);
}
