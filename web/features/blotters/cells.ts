import { session } from '@client/session';

export const instrument = (id: string) => session.getState().instruments.get(id);
export const symbol = (row: { instrumentId: string }) =>
  instrument(row.instrumentId)?.symbol ?? row.instrumentId;
export const sideWord = (row: { side: string }) => (row.side === 'BUY' ? 'Buy' : 'Sell');
