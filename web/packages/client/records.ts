import { SequenceTracker } from '@model/sequence';
import type { Notification, Rfq, Trade } from '@model/types';
import { createStore, type StoreApi } from 'zustand/vanilla';

export interface Records<T> {
  byId: ReadonlyMap<string, T>;
  /** False until the first snapshot of this connection is in. */
  current: boolean;
}

/**
 * One gap-free channel as a map by id. Updates replace by id, so a repeated frame changes nothing;
 * after a gap the owner of the socket asks for a new snapshot.
 */
export class RecordStore<T> {
  readonly store: StoreApi<Records<T>>;
  private readonly sequence = new SequenceTracker();

  constructor(
    private readonly idOf: (item: T) => string,
    private readonly isNewer: (item: T, known: T) => boolean = () => true,
    private readonly bound = 2_000,
  ) {
    this.store = createStore<Records<T>>(() => ({ byId: new Map(), current: false }));
  }

  put(items: readonly T[], current?: boolean): void {
    const before = this.store.getState();
    const byId = new Map(before.byId);
    for (const item of items) {
      const known = byId.get(this.idOf(item));
      if (!known || this.isNewer(item, known)) byId.set(this.idOf(item), item);
    }
    for (const key of byId.keys()) {
      if (byId.size <= this.bound) break;
      byId.delete(key);
    }
    this.store.setState({ byId, current: current ?? before.current });
  }

  snapshot(seq: number, items: readonly T[]): void {
    this.sequence.snapshot(seq);
    this.put(items, true);
  }

  /** True when the caller must ask for a new snapshot. */
  update(seq: number, items: readonly T[]): boolean {
    const verdict = this.sequence.update(seq);
    if (verdict === 'apply') this.put(items);
    return verdict === 'gap';
  }

  lost(): void {
    this.sequence.reset();
    this.store.setState({ current: false });
  }
}

/** An RFQ changes with its version and, within one version, with the quotes that arrive. */
export function rfqIsNewer(item: Rfq, known: Rfq): boolean {
  if (item.version !== known.version) return item.version > known.version;
  if (item.revision !== undefined && known.revision !== undefined) {
    return item.revision >= known.revision;
  }
  if (!item.serverTime || !known.serverTime) return true;
  return item.serverTime >= known.serverTime;
}

export const rfqs = new RecordStore<Rfq>((r) => r.rfqId, rfqIsNewer);
export const trades = new RecordStore<Trade>((t) => t.tradeId);
/** What was read stays read, whatever an older frame says. */
export const notifications = new RecordStore<Notification>(
  (n) => n.notificationId,
  (item, known) => item.read || !known.read,
  200,
);
