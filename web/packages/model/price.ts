import { type Dec, dec, grouped, must } from './decimal';
import type { Instrument, PriceDisplay, SpreadUnit } from './types';

export const NO_VALUE = '–';

/** A price cut into the parts that are drawn in different sizes. */
export interface PriceParts {
  big: string;
  pips: string;
  fraction: string;
}

type Shown = Pick<Instrument, 'display'>;
type Measured = Pick<Instrument, 'pip' | 'spreadUnit' | 'display'>;

/** 99.515625 → 99-16+ : whole, 32nds, and the eighths of a 32nd (+ is a half). */
function thirtySeconds(price: Dec): PriceParts {
  const eighths = price.abs().times(256).round();
  const whole = eighths.divToInt(256);
  const rest = eighths.minus(whole.times(256));
  const ticks = rest.divToInt(8).toFixed().padStart(2, '0');
  const eighth = rest.mod(8).toNumber();
  const sign = price.isNegative() ? '−' : '';
  return {
    big: `${sign}${whole.toFixed()}-`,
    pips: ticks,
    fraction: eighth === 0 ? '' : eighth === 4 ? '+' : String(eighth),
  };
}

function pointed(price: Dec, display: PriceDisplay): PriceParts {
  const fixed = price.toFixed(display.decimals).replace('-', '−');
  const dot = fixed.indexOf('.');
  if (dot < 0 || display.pipDigits === 0) return { big: '', pips: fixed, fraction: '' };
  const from = dot + 1 + display.pipFrom;
  const to = from + display.pipDigits;
  return {
    big: fixed.slice(0, from),
    pips: fixed.slice(from, to),
    fraction: fixed.slice(to, to + display.fractionDigits),
  };
}

/** Null when there is no price: the caller draws the dash, never a zero. */
export function priceParts(price: string | null | undefined, shown: Shown): PriceParts | null {
  const value = dec(price);
  if (!value) return null;
  if (shown.display.kind === 'THIRTYSECONDS') return thirtySeconds(value);
  return pointed(value, shown.display);
}

/** The price as one run of text, as in blotters and on the accept button. */
export function priceText(price: string | null | undefined, shown: Shown | undefined): string {
  if (!shown) return price ?? NO_VALUE;
  const parts = priceParts(price, shown);
  return parts ? parts.big + parts.pips + parts.fraction : NO_VALUE;
}

const UNIT_WORD: Record<SpreadUnit, string> = {
  pips: 'pips',
  cents: 'cents',
  '32nds': '/32',
  bps: 'bps',
};
const UNIT_SHORT: Record<SpreadUnit, string> = {
  pips: 'pip',
  cents: 'c',
  '32nds': '/32',
  bps: 'bp',
};

export const unitWord = (unit: SpreadUnit): string => UNIT_WORD[unit];
export const unitShort = (unit: SpreadUnit): string => UNIT_SHORT[unit];

/** A distance in price units measured in the instrument's own spread unit. */
export function inUnits(distance: Dec, of: Measured, mid?: string | null): Dec | null {
  if (of.spreadUnit === '32nds') return distance.times(32);
  if (of.spreadUnit === 'bps') {
    const base = dec(mid);
    return base && !base.isZero() ? distance.div(base).times(10000) : null;
  }
  if (of.spreadUnit === 'cents') return distance.times(100);
  const pip = dec(of.pip);
  return pip?.gt(0) ? distance.div(pip) : null;
}

// Quarter 32nds need two decimals to be exact; tenths are the field's habit elsewhere.
const decimalsFor = (value: Dec, unit: SpreadUnit): number =>
  unit === '32nds' && !value.times(10).isInteger() ? 2 : 1;

/** `bid`, `ask` → `0.6`; a dash when either is missing. */
export function spreadText(
  bid: string | null | undefined,
  ask: string | null | undefined,
  of: Measured,
): string {
  const low = dec(bid);
  const high = dec(ask);
  if (!low || !high) return NO_VALUE;
  const units = inUnits(high.minus(low), of, low.plus(high).div(2).toFixed());
  return units ? grouped(units, decimalsFor(units, of.spreadUnit)) : NO_VALUE;
}

/** A signed distance such as a quote's spread to mid: `+0.2`. */
export function signedUnits(
  distance: string | null | undefined,
  of: Measured,
  mid?: string | null,
): string {
  const value = dec(distance);
  if (!value) return NO_VALUE;
  const units = inUnits(value, of, mid);
  if (!units) return NO_VALUE;
  const text = grouped(units, decimalsFor(units, of.spreadUnit));
  return units.gt(0) ? `+${text}` : text;
}

/** Price × size in the quote currency; bonds are priced per hundred of face. */
export function consideration(
  price: string,
  size: string,
  of: Pick<Instrument, 'assetClass'>,
): string | null {
  const p = dec(price);
  const s = dec(size);
  if (!p || !s) return null;
  const perHundred = of.assetClass === 'RATES' || of.assetClass === 'CREDIT';
  return grouped(p.times(s).div(perHundred ? must(100) : must(1)), 2);
}
