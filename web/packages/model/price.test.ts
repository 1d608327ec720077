import { describe, expect, it } from 'vitest';
import { consideration, priceParts, priceText, signedUnits, spreadText } from './price';
import type { Instrument } from './types';

type Shown = Pick<Instrument, 'display' | 'pip' | 'spreadUnit'>;
const eurusd: Shown = {
  display: { kind: 'PIPS', decimals: 5, pipFrom: 2, pipDigits: 2, fractionDigits: 1 },
  pip: '0.0001',
  spreadUnit: 'pips',
};
const usdjpy: Shown = {
  display: { kind: 'PIPS', decimals: 3, pipFrom: 0, pipDigits: 2, fractionDigits: 1 },
  pip: '0.01',
  spreadUnit: 'pips',
};
const ust: Shown = {
  display: { kind: 'THIRTYSECONDS', decimals: 7, pipFrom: 0, pipDigits: 2, fractionDigits: 1 },
  pip: '0.03125',
  spreadUnit: '32nds',
};
const equity: Shown = {
  display: { kind: 'DECIMAL', decimals: 2, pipFrom: 0, pipDigits: 2, fractionDigits: 0 },
  pip: '0.01',
  spreadUnit: 'cents',
};

describe('the parts of a price', () => {
  it('cuts FX into big figure, pips and the fractional pip', () => {
    expect(priceParts('1.14037', eurusd)).toEqual({ big: '1.14', pips: '03', fraction: '7' });
    expect(priceParts('109.018', usdjpy)).toEqual({ big: '109.', pips: '01', fraction: '8' });
    expect(priceParts('1.1', eurusd)).toEqual({ big: '1.10', pips: '00', fraction: '0' });
  });

  it('writes 32nds with the half as a plus and eighths as digits', () => {
    expect(priceText('99.515625', ust)).toBe('99-16+');
    expect(priceText('99.53125', ust)).toBe('99-17');
    expect(priceText('99.5078125', ust)).toBe('99-162');
    expect(priceText('99.5234375', ust)).toBe('99-166');
    expect(priceText('100.28125', ust)).toBe('100-09');
    expect(priceText('99.99999', ust)).toBe('100-00');
  });

  it('shows a dash, never a zero, where there is no price', () => {
    for (const nothing of [null, undefined, '', 'NaN', 'abc']) {
      expect(priceText(nothing, eurusd)).toBe('–');
      expect(priceParts(nothing, eurusd)).toBeNull();
    }
    expect(priceText('182.5', equity)).toBe('182.50');
  });
});

describe('spreads and distances', () => {
  it('uses the unit of the instrument', () => {
    expect(spreadText('1.14032', '1.14038', eurusd)).toBe('0.6');
    expect(spreadText('109.018', '109.026', usdjpy)).toBe('0.8');
    expect(spreadText('99.515625', '99.53125', ust)).toBe('0.5');
    expect(spreadText('99.5078125', '99.515625', ust)).toBe('0.25');
    expect(spreadText('182.40', '182.44', equity)).toBe('4.0');
    expect(spreadText(null, '1.1', eurusd)).toBe('–');
    expect(spreadText('1.2', '1.1', { ...eurusd })).toBe('−1,000.0');
  });

  it('signs a distance to mid', () => {
    expect(signedUnits('0.00002', eurusd)).toBe('+0.2');
    expect(signedUnits('-0.00002', eurusd)).toBe('−0.2');
    expect(signedUnits('0', eurusd)).toBe('0.0');
    expect(signedUnits(null, eurusd)).toBe('–');
  });

  it('multiplies exactly, bonds per hundred', () => {
    expect(consideration('1.14037', '5000000', { assetClass: 'FX' })).toBe('5,701,850.00');
    expect(consideration('99.515625', '10000000', { assetClass: 'RATES' })).toBe('9,951,562.50');
    expect(consideration('x', '1', { assetClass: 'FX' })).toBeNull();
  });
});
