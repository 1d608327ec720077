import { useSession } from '@client/session';
import { Tag } from '@ui/controls';
import type { PanelSpec } from '@ui/panels';
import { MarketWatch } from './MarketWatch';
import './market.css';
import { Tiles } from './Tiles';

function WatchTitle() {
  const feed = useSession((s) => s.me?.feed);
  return (
    <>
      Market watch
      {feed && (
        <Tag title={feed.mode === 'SIM' ? 'Prices are simulated' : 'Recorded prices are replayed'}>
          {feed.mode}
        </Tag>
      )}
    </>
  );
}

function TilesNote() {
  const deals = useSession((s) => s.permissions.has('rfq.create'));
  return <>{deals && 'A price only fills the ticket'}</>;
}

const mayReadMarket = (permissions: ReadonlySet<string>) => permissions.has('market.read');

export const panels: PanelSpec[] = [
  {
    id: 'market-watch',
    title: 'Market watch',
    slot: 'left',
    order: 10,
    may: mayReadMarket,
    Title: WatchTitle,
    Body: MarketWatch,
  },
  {
    id: 'tiles',
    title: 'Tiles',
    slot: 'top',
    order: 20,
    may: mayReadMarket,
    Body: Tiles,
    Note: TilesNote,
  },
];
