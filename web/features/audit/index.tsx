import { useDesk } from '@client/desk';
import { hasAny, type PanelSpec } from '@ui/panels';
import './audit.css';
import { Timeline } from './Timeline';

const Title = () => {
  const subject = useDesk((d) => d.timeline);
  return <>Time line {subject?.displayId}</>;
};

export const panels: PanelSpec[] = [
  {
    id: 'timeline',
    title: 'Time line',
    slot: 'right',
    order: 40,
    may: (p) => hasAny(p, 'audit.read'),
    Title,
    Body: Timeline,
  },
];
