import { expect, it } from 'vitest';
import { degradedText } from './StatusBar';

it('says what does not come in before it says that the rate is lowered', () => {
  expect(degradedText(['rate'])).toBe('Screen rate is lowered: the platform is busy');
  expect(degradedText(['rfqs', 'rate'])).toBe('Not coming in: RFQs');
  expect(degradedText(['rate', 'cache'])).toBe('Screen rate is lowered: the platform is busy');
  expect(degradedText(['cache'])).toBe('Cache lost: answers come from the database');
  expect(degradedText(['ticks', 'trades'])).toBe('Not coming in: prices, trades');
});
