import { market } from '@client/market';
import { Loading } from '@ui/states';
import { type ComponentType, lazy, Suspense } from 'react';
import type { GridProps } from './Grid';

// The grid library is the largest part of the page: it is fetched and read after the first prices.
const Loaded = lazy(async () => {
  await market.firstPrices();
  const { Grid } = await import('./Grid');
  return { default: Grid as unknown as ComponentType };
});

export function LazyGrid<T>(props: GridProps<T>) {
  // `lazy` cannot carry a type parameter; the component behind it takes any row type.
  const Typed = Loaded as ComponentType<unknown> as ComponentType<GridProps<T>>;
  return (
    <Suspense fallback={<Loading what="rows" rows={5} />}>
      <Typed {...props} />
    </Suspense>
  );
}
