import { type Dec, dec, grouped, must } from './decimal';

/** What a size box makes of what was typed. `value` is only there when it may be sent. */
export type ParsedSize =
  | { ok: true; value: string; echo: string }
  | { ok: false; empty: boolean; message: string };

export interface SizeRules {
  minSize?: string | null;
  maxSize?: string | null;
  lotSize?: string | null;
}

const MULTIPLIERS: Record<string, string> = {
  '': '1',
  k: '1000',
  m: '1000000',
  mm: '1000000',
  mio: '1000000',
  b: '1000000000',
  bn: '1000000000',
};

const LONGEST = 24;
// Grouping commas must really group by three, so that "1,5m" is refused instead of read as 15m.
const SHAPE = /^(\d{1,3}(?:,\d{3})+|\d+)?(\.\d+)?\s*([a-z]*)$/i;

const refuse = (message: string, empty = false): ParsedSize => ({ ok: false, empty, message });

function number(text: string): Dec | string {
  if (text.length > LONGEST) return 'Too long for a size';
  if (/^[-−–]/.test(text)) return 'Size must be above zero';
  const match = SHAPE.exec(text);
  const [, whole, fraction, unit = ''] = match ?? [];
  const times = MULTIPLIERS[unit.toLowerCase()];
  if (!match || times === undefined || (whole === undefined && fraction === undefined)) {
    return 'Not a size. Try 5m or 250k';
  }
  return must(`${(whole ?? '0').replaceAll(',', '')}${fraction ?? ''}`).times(times);
}

/** Reads `5m`, `10k`, `1.5bn`, `2,000,000`; says in a few words why it cannot. */
export function parseSize(raw: string, rules: SizeRules = {}): ParsedSize {
  const text = raw.trim();
  if (text === '') return refuse('Enter a size', true);
  const value = number(text);
  if (typeof value === 'string') return refuse(value);
  if (value.lte(0)) return refuse('Size must be above zero');
  const max = dec(rules.maxSize);
  if (max && value.gt(max)) return refuse(`Over your max ${grouped(max)}`);
  const min = dec(rules.minSize);
  if (min && value.lt(min)) return refuse(`Below the min ${grouped(min)}`);
  const lot = dec(rules.lotSize);
  if (lot?.gt(0) && !value.mod(lot).isZero())
    return refuse(`Must be a multiple of ${grouped(lot)}`);
  return { ok: true, value: value.toFixed(), echo: grouped(value) };
}

/** `5000000` → `5m`, the shortest exact form; falls back to the grouped number. */
export function shortSize(value: string | null | undefined): string {
  const amount = dec(value);
  if (!amount) return '–';
  for (const [unit, times] of [
    ['bn', '1000000000'],
    ['m', '1000000'],
    ['k', '1000'],
  ] as const) {
    if (amount.abs().lt(times)) continue;
    const scaled = amount.div(times);
    if (scaled.decimalPlaces() <= 3) return `${scaled.toFixed()}${unit}`;
    break;
  }
  return grouped(amount);
}

const LONGEST_CELL = 11; // as 999,999,999

/** For a cell: every digit while they fit, else with a unit. Never a number with its end cut off. */
export function cellSize(value: string | null | undefined): string {
  const full = fullSize(value);
  const amount = dec(value);
  if (!amount || full.length <= LONGEST_CELL) return full;
  if (amount.lt('1000000000')) return grouped(amount.toDecimalPlaces(0));
  return `${grouped(amount.div('1000000000').toSignificantDigits(6))}bn`;
}

/** A size with thousands grouped; a dash where there is none. */
export function fullSize(value: string | null | undefined): string {
  const amount = dec(value);
  return amount ? grouped(amount) : '–';
}
