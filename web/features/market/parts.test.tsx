// @vitest-environment jsdom
import { render, screen } from '@testing-library/react';
import { expect, it } from 'vitest';
import { FlagMark } from './parts';

it('names what is odd about a price and stays away where nothing is', () => {
  const { rerender } = render(<FlagMark flags="LATE CROSSED" />);
  expect(screen.getByTestId('watch-flag').textContent).toBe('late+');
  expect(screen.getByTestId('watch-flag').title).toContain('bid is above the ask');
  rerender(<FlagMark flags="DERIVED" />);
  expect(screen.queryByTestId('watch-flag')).toBeNull();
});
