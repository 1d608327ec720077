import '@ui/tokens.css';
import '@ui/base.css';
import { asApiError } from '@client/problem';
import { queryClient } from '@client/queries';
import { commands as rfqCommands, startRfqActs } from '@features/rfq/index';
import { goToSignIn, isSignedOut, start } from '@features/session/start';
import { ClosedDoor, followTheme, Shell } from '@features/shell/index';
import { commands } from '@model/commands';
import { QueryClientProvider } from '@tanstack/react-query';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { panels } from './panels';

const element = document.getElementById('root');
if (!element) throw new Error('the page has no root');
const root = createRoot(element);

async function open(): Promise<void> {
  try {
    const { stream } = await start();
    commands.register(...rfqCommands);
    startRfqActs();
    const all = panels.all();
    root.render(
      <StrictMode>
        <QueryClientProvider client={queryClient}>
          <Shell panels={all} stream={stream} />
        </QueryClientProvider>
      </StrictMode>,
    );
  } catch (error) {
    if (isSignedOut(error)) return goToSignIn();
    const failure = asApiError(error);
    root.render(
      <ClosedDoor
        sentence={failure.message}
        traceId={failure.traceId}
        onRetry={() => void open()}
      />,
    );
  }
}

followTheme();
void open();
