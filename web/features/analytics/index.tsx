import type { PanelSpec } from '@ui/panels';
import { Spread } from './Spread';

export const panels: PanelSpec[] = [
  {
    id: 'spread',
    title: 'Spread',
    slot: 'left-bottom',
    order: 70,
    may: (p) => p.has('market.read'),
    Body: Spread,
  },
];
