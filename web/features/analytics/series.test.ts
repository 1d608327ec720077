import { expect, it } from 'vitest';
import { withGaps } from './series';

it('draws no level over a time of which nothing was heard', () => {
  const drawn = withGaps({ at: [0, 5, 40, 400, 405], spread: [1, 2, 3, 4, 5] });
  expect(drawn).toEqual([
    [0, 5, 40, 45, 400, 405],
    [1, 2, 3, null, 4, 5],
  ]);
});
