import Decimal from 'decimal.js';

// Money and prices never touch binary floating point; 40 digits are far beyond any product of
// a price and a size that the platform accepts.
const D = Decimal.clone({
  precision: 40,
  rounding: Decimal.ROUND_HALF_EVEN,
  toExpNeg: -30,
  toExpPos: 40,
});

export type Dec = Decimal;

/** A decimal from a wire string; null for anything that is not a finite number. */
export function dec(value: string | null | undefined): Dec | null {
  if (value === null || value === undefined || value === '') return null;
  try {
    const parsed = new D(value);
    return parsed.isFinite() ? parsed : null;
  } catch {
    return null;
  }
}

/** A decimal that the caller knows to be well formed. */
export function must(value: string | number): Dec {
  return new D(value);
}

const GROUPS = /\B(?=(\d{3})+(?!\d))/g;

/** `1234567.5` → `1,234,567.50` with the wanted decimals; the sign is a real minus. */
export function grouped(value: Dec, decimals?: number): string {
  const fixed = decimals === undefined ? value.abs().toFixed() : value.abs().toFixed(decimals);
  const [whole = '0', fraction] = fixed.split('.');
  const text = whole.replace(GROUPS, ',') + (fraction === undefined ? '' : `.${fraction}`);
  return value.isNegative() && !value.isZero() ? `−${text}` : text;
}
