import { QueryClient } from '@tanstack/react-query';
import { ApiError } from './problem';

export const queryClient = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 30_000,
      refetchOnWindowFocus: false,
      // What the server refused stays refused; what did not arrive is worth a second try.
      retry: (count, error) => count < 2 && error instanceof ApiError && error.outcomeUnknown,
      retryDelay: (count) => 400 * 2 ** count,
    },
  },
});
