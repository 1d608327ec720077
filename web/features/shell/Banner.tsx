import { useConnection, useTicking } from '@client/hooks';
import { goToSignIn } from '@client/rest';
import type { Stream } from '@client/stream';
import { T } from '@model/testids';
import { clock } from '@model/time';
import { Button } from '@ui/controls';
import { Icon } from '@ui/icons';
import type { ReactNode } from 'react';

const Bar = ({
  bad,
  children,
  action,
}: {
  bad?: boolean;
  children: ReactNode;
  action: ReactNode;
}) => (
  <div className={`banner ${bad ? 'banner-bad' : ''}`} role="alert" data-testid={T.banner}>
    <span className="banner-icon">
      <Icon name={bad ? 'lock' : 'offline'} size={14} />
    </span>
    <span className="clip">{children}</span>
    <span className="spring" />
    {action}
  </div>
);

// A blip shorter than this is not worth moving the whole screen by a line.
const QUIET_MS = 600;

export function Banner({ stream }: { stream: Stream }) {
  const { state, since, lastFrameAt, attempt, nextAttemptAt, reason } = useConnection((c) => c);
  const wait = useTicking(() =>
    nextAttemptAt === null ? null : Math.max(0, Math.ceil((nextAttemptAt - Date.now()) / 1000)),
  );
  const settled = useTicking((now) => now - since > QUIET_MS);
  if (state === 'signed-out') {
    return (
      <Bar
        bad
        action={
          <Button small onClick={goToSignIn}>
            Sign in
          </Button>
        }
      >
        <b>Your session has ended.</b> Dealing is off. Layout and drafts are kept.
      </Bar>
    );
  }
  if (state === 'replaced') {
    return (
      <Bar
        action={
          <Button small onClick={stream.now}>
            Use it here
          </Button>
        }
      >
        <b>Too many windows are open.</b> Prices are frozen in this one.
      </Bar>
    );
  }
  const down =
    state === 'reconnecting' || state === 'offline' || (state === 'catching-up' && attempt > 1);
  if (!down || !settled) return null;
  const next =
    state === 'catching-up'
      ? 'Catching up.'
      : wait === null
        ? `Attempt ${attempt} now.`
        : `Attempt ${attempt}, next in ${wait} s.`;
  return (
    <Bar
      action={
        <Button
          small
          testId={T.reconnectNow}
          disabled={state === 'catching-up'}
          onClick={stream.now}
        >
          Reconnect now
        </Button>
      }
    >
      <b>
        {state === 'offline' ? 'No network' : 'Connection lost'} at {clock(lastFrameAt ?? since)}.
      </b>{' '}
      Prices are frozen and dealing is off. {next} {reason}
    </Bar>
  );
}
