import { useConnection } from '@client/hooks';
import type { Stream } from '@client/stream';
import { commands } from '@model/commands';
import type { PanelSpec } from '@ui/panels';
import { Failed } from '@ui/states';
import { useEffect } from 'react';
import { Banner } from './Banner';
import { panelCommands, shellCommands } from './commands';
import { Desk } from './Desk';
import { listenToKeys } from './keys';
import './shell.css';
import { Shortcuts } from './Shortcuts';
import { StatusBar } from './StatusBar';
import { Toasts } from './Toasts';
import { TopBar } from './TopBar';

export function Shell({ panels, stream }: { panels: readonly PanelSpec[]; stream: Stream }) {
  const link = useConnection((c) => c.state);
  useEffect(() => {
    const forget = commands.register(...shellCommands, ...panelCommands(panels));
    const deaf = listenToKeys();
    return () => {
      deaf();
      forget();
    };
  }, [panels]);
  return (
    <div className="shell" data-link={link}>
      <TopBar />
      <div>
        <Banner stream={stream} />
      </div>
      <Desk panels={panels} />
      <StatusBar />
      <Shortcuts />
      <Toasts />
    </div>
  );
}

/** Before anything is known: the page could not even ask who you are. */
export const ClosedDoor = ({
  sentence,
  traceId,
  onRetry,
}: {
  sentence: string;
  traceId: string | null;
  onRetry: () => void;
}) => (
  <div className="door">
    <Failed what="the workstation" sentence={sentence} traceId={traceId} onRetry={onRetry} />
  </div>
);

export { followTheme } from './theme';
