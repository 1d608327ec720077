import type { ReactNode } from 'react';
import { Button, CopyButton } from './controls';
import { Icon, type IconName } from './icons';

/** Row shapes that stand still: no spinner, nothing jumps when the rows arrive. */
export function Loading({ what, rows = 4 }: { what: string; rows?: number }) {
  return (
    <div className="state-loading" role="status">
      <p>Loading {what}</p>
      {Array.from({ length: rows }, (_, row) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: the shapes have no identity
        <div className="state-row" key={row} aria-hidden="true">
          <span style={{ width: '22%' }} />
          <span style={{ width: '18%' }} />
          <span style={{ width: '12%' }} />
          <span style={{ width: '24%' }} />
        </div>
      ))}
    </div>
  );
}

function Notice({
  icon,
  tone,
  title,
  children,
  actions,
}: {
  icon: IconName;
  tone?: string;
  title: string;
  children: ReactNode;
  actions?: ReactNode;
}) {
  return (
    <div className="state-notice">
      <h2 className={tone}>
        <Icon name={icon} size={14} />
        <span>{title}</span>
      </h2>
      <div className="state-text">{children}</div>
      {actions && <div className="state-actions">{actions}</div>}
    </div>
  );
}

/** Says what to do, not only that there is nothing. */
export const Empty = ({
  title,
  children,
  actions,
}: {
  title: string;
  children: ReactNode;
  actions?: ReactNode;
}) => (
  <Notice icon="doc" title={title} actions={actions}>
    {children}
  </Notice>
);

const ended = (sentence: string): string => (/[.!?…]$/.test(sentence) ? sentence : `${sentence}.`);

export function Failed({
  what,
  sentence,
  traceId,
  onRetry,
}: {
  what: string;
  sentence: string;
  traceId: string | null;
  onRetry: () => void;
}) {
  return (
    <div role="alert">
      <Notice
        icon="alert"
        tone="tone-bad"
        title={`Could not load ${what}`}
        actions={
          <>
            <Button small icon="retry" onClick={onRetry}>
              Retry
            </Button>
            {traceId && <CopyButton text={traceId} label="Copy the id of this failure" />}
          </>
        }
      >
        <p>{ended(sentence)} Other panels are not affected.</p>
        {traceId && <code>{traceId}</code>}
      </Notice>
    </div>
  );
}

/** For someone whose role sees none of the panels. */
export const NothingHere = ({ title, children }: { title: string; children: ReactNode }) => (
  <Notice icon="lock" title={title}>
    {children}
  </Notice>
);
