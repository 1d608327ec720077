import { Loading } from '@ui/states';
import { type ComponentType, lazy, Suspense } from 'react';
import type { GridProps } from './Grid';

// The grid library is the largest part of the page: it comes after the first prices.
const Loaded = lazy(() =>
  import('./Grid').then((m) => ({ default: m.Grid as unknown as ComponentType })),
);

export function LazyGrid<T>(props: GridProps<T>) {
  // `lazy` cannot carry a type parameter; the component behind it takes any row type.
  const Typed = Loaded as ComponentType<unknown> as ComponentType<GridProps<T>>;
  return (
    <Suspense fallback={<Loading what="rows" rows={5} />}>
      <Typed {...props} />
    </Suspense>
  );
}
