import { describe, expect, it } from 'vitest';
import { cellSize, fullSize, parseSize, shortSize } from './notional';

const value = (text: string, rules = {}) => {
  const parsed = parseSize(text, rules);
  return parsed.ok ? parsed.value : parsed.message;
};

describe('what is typed into a size box', () => {
  it.each([
    ['5m', '5000000'],
    ['10k', '10000'],
    ['1.5bn', '1500000000'],
    ['2,000,000', '2000000'],
    [' 250 K ', '250000'],
    ['.5m', '500000'],
    ['1.1mm', '1100000'],
    ['0.1m', '100000'],
    ['123456789012345', '123456789012345'],
  ])('%s is %s', (text, expected) => {
    expect(value(text)).toBe(expected);
  });

  it.each([
    '5mm5',
    '5 5m',
    '1,5m',
    '1,00,000',
    '0x10',
    '1e6',
    'm',
    'five',
    '5m5',
    'NaN',
    'Infinity',
    '５m',
    '--5',
    '5..5m',
  ])('%s is refused', (text) => {
    expect(parseSize(text).ok).toBe(false);
  });

  it('says what is wrong', () => {
    expect(value('-2m')).toBe('Size must be above zero');
    expect(value('0')).toBe('Size must be above zero');
    expect(value('30m', { maxSize: '25000000' })).toBe('Over your max 25,000,000');
    expect(value('10k', { minSize: '100000' })).toBe('Below the min 100,000');
    expect(value('100500', { lotSize: '1000' })).toBe('Must be a multiple of 1,000');
    expect(value('9'.repeat(30))).toBe('Too long for a size');
    expect(parseSize('')).toMatchObject({ ok: false, empty: true });
  });

  it('never loses a digit to floating point', () => {
    expect(value('0.3m')).toBe('300000');
    expect(value('1.005m')).toBe('1005000');
    expect(value('9007199254740993')).toBe('9007199254740993');
  });
});

describe('sizes as shown', () => {
  it('shortens only what stays exact', () => {
    expect(shortSize('5000000')).toBe('5m');
    expect(shortSize('1500000000')).toBe('1.5bn');
    expect(shortSize('1234567')).toBe('1,234,567');
    expect(shortSize('250000')).toBe('250k');
    expect(shortSize(null)).toBe('–');
    expect(fullSize('10000000')).toBe('10,000,000');
  });

  it('never cuts the end off a number in a cell', () => {
    expect(cellSize('100000000')).toBe('100,000,000');
    expect(cellSize('99999999999')).toBe('100bn');
    expect(cellSize('1234567890')).toBe('1.23457bn');
    expect(cellSize('123456789.12')).toBe('123,456,789');
    expect(cellSize(null)).toBe('–');
  });
});
