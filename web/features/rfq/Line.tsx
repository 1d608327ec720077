import { showTimeline } from '@client/desk';
import { useSession } from '@client/session';
import { T } from '@model/testids';
import type { Rfq } from '@model/types';
import { Button, CopyButton } from '@ui/controls';
import { Icon, type IconName } from '@ui/icons';
import type { ReactNode } from 'react';
import { subjectOf } from './acts';

type Look = 'plain' | 'ok' | 'warn' | 'bad';

/** One line with a reserved place: the newest thing known about the act or the RFQ. */
export function Line({
  look,
  icon,
  name,
  children,
  rfq,
  copy,
}: {
  look: Look;
  icon: IconName;
  name: string;
  children: ReactNode;
  rfq?: Rfq;
  copy?: string | null | undefined;
}) {
  const mayRead = useSession((s) => [...s.permissions].some((p) => p.startsWith('audit.read')));
  return (
    <div
      className={`outcome ${look === 'plain' ? '' : `outcome-${look}`}`}
      role="status"
      data-testid={T.outcome}
      data-outcome={name}
    >
      <Icon name={icon} />
      <span className="clip">{children}</span>
      {rfq && mayRead && (
        <Button
          small
          kind="bare"
          testId={T.outcomeTimeline}
          onClick={() => showTimeline(subjectOf(rfq))}
        >
          Time line
        </Button>
      )}
      {copy && <CopyButton text={copy} label={`Copy ${copy}`} />}
    </div>
  );
}
