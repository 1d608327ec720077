import { useDesk } from '@client/desk';
import { useSession } from '@client/session';
import type { PanelSpec, Slot } from '@ui/panels';
import { NothingHere } from '@ui/states';
import { useSyncExternalStore } from 'react';
import { Panel } from './Panel';

type Width = 'wide' | 'medium' | 'narrow' | 'column';

const widthNow = (): Width => {
  const width = window.innerWidth;
  return width >= 1440 ? 'wide' : width >= 1180 ? 'medium' : width >= 900 ? 'narrow' : 'column';
};

function subscribe(listener: () => void): () => void {
  window.addEventListener('resize', listener);
  return () => window.removeEventListener('resize', listener);
}

/** Where there is less room, panels share a place as tabs instead of shrinking. */
function slotAt(panel: PanelSpec, width: Width): Slot {
  if (width !== 'wide' && panel.slot === 'right') return 'left-bottom';
  if ((width === 'narrow' || width === 'column') && panel.slot === 'band-right') return 'band-left';
  return panel.slot;
}

/** Operations see no trading data: the screen says where their tools are instead. */
function NoPanels() {
  const operates = useSession((s) => s.permissions.has('operations.read'));
  return (
    <main className="desk desk-empty">
      <NothingHere title="Your role has no panels here">
        <p>
          {operates
            ? 'Operations work with the command line and with the metrics of every process.'
            : 'An administrator of your firm decides what your role sees.'}
        </p>
        {operates && (
          <p>
            <a href="/metrics">Metrics</a> <a href="/readyz">Readiness</a>
          </p>
        )}
      </NothingHere>
    </main>
  );
}

export function Desk({ panels }: { panels: readonly PanelSpec[] }) {
  const permissions = useSession((s) => s.permissions);
  const maximised = useDesk((d) => d.maximised);
  const width = useSyncExternalStore(subscribe, widthNow);
  const seen = panels.filter((p) => p.may(permissions));
  const whole = seen.find((p) => p.id === maximised);
  if (whole) {
    return (
      <main className="desk desk-single">
        <Panel panels={[whole]} />
      </main>
    );
  }
  if (seen.length === 0) return <NoPanels />;
  const at = (slot: Slot) => {
    const here = seen.filter((p) => slotAt(p, width) === slot);
    return here.length > 0 ? <Panel key={slot} panels={here} /> : null;
  };
  if (width === 'column') {
    return (
      <main className="desk desk-column">
        {at('centre')}
        {at('top')}
        {at('left')}
        {at('band-left')}
        {at('left-bottom')}
      </main>
    );
  }
  return (
    <main className={`desk desk-${width}`}>
      <div className="desk-left">
        {at('left')}
        {at('left-bottom')}
      </div>
      <div className={`desk-rest ${at('centre') ? '' : 'desk-rest-short'}`}>
        <div className="desk-upper">
          <div className="desk-mid">
            {at('top')}
            {at('centre')}
          </div>
          {at('right')}
        </div>
        <div className="desk-band">
          {at('band-left')}
          {at('band-right')}
        </div>
      </div>
    </main>
  );
}
