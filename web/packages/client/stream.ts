import { millis } from '@model/time';
import type { Notification, Rfq, StaleNotice, Tick, Trade } from '@model/types';
import { serverClock } from './clock';
import { connection, type LinkState } from './connection';
import { market } from './market';
import { notifications, type RecordStore, rfqs, trades } from './records';

interface Frame {
  type: 'snapshot' | 'update' | 'error' | 'stale' | 'heartbeat' | 'pong';
  channel?: string;
  seq?: number;
  id?: number;
  serverTime?: string;
  items?: unknown[];
}

interface Heartbeat {
  sessions?: number;
  degraded?: string[];
}

const RECORD_CHANNELS = ['rfqs', 'trades', 'notifications'] as const;
type RecordChannel = (typeof RECORD_CHANNELS)[number];

const FIRST_DELAY_MS = 250;
const LONGEST_DELAY_MS = 8_000;
// The server sends a heartbeat each 5 s; two and a bit missing ones mean a dead connection.
const SILENCE_MS = 11_000;
const PING_EVERY_MS = 10_000;
// The first samples are taken while the page is busy; a few later ones soon replace them.
const FIRST_PINGS_MS = [0, 300, 1_000, 2_000, 3_500, 5_000];
const MOST_IDS_PER_FRAME = 200;

/** The one WebSocket of this page: everything is multiplexed over it. */
export class Stream {
  private socket: WebSocket | null = null;
  private wanted = new Map<string, number>();
  private subscribed = new Set<string>();
  private readonly records: ReadonlySet<RecordChannel>;
  private timers = { retry: 0, silence: 0, ping: 0, sync: 0 };
  private pings = new Map<number, number>();
  private pingId = 0;
  private attempt = 0;
  private closedByUs = false;

  constructor(
    private readonly url: string,
    channels: readonly RecordChannel[],
  ) {
    this.records = new Set(channels);
  }

  open(): void {
    window.addEventListener('online', this.now);
    window.addEventListener('offline', this.wentOffline);
    this.connect();
  }

  close(): void {
    this.closedByUs = true;
    window.removeEventListener('online', this.now);
    window.removeEventListener('offline', this.wentOffline);
    for (const timer of Object.values(this.timers)) window.clearTimeout(timer);
    this.socket?.close(1000);
  }

  /** Asks for ticks of these instruments until the returned function is called. */
  watch(instrumentIds: readonly string[]): () => void {
    for (const id of instrumentIds) this.wanted.set(id, (this.wanted.get(id) ?? 0) + 1);
    this.syncSoon();
    let released = false;
    return () => {
      if (released) return;
      released = true;
      for (const id of instrumentIds) {
        const count = (this.wanted.get(id) ?? 1) - 1;
        if (count <= 0) this.wanted.delete(id);
        else this.wanted.set(id, count);
      }
      this.syncSoon();
    };
  }

  /** Tries again without waiting for the back-off. */
  now = (): void => {
    if (this.socket && this.socket.readyState <= WebSocket.OPEN) return;
    window.clearTimeout(this.timers.retry);
    this.connect();
  };

  private wentOffline = (): void => {
    this.socket?.close();
    this.lost('offline', 'This computer has no network');
  };

  private connect(): void {
    const first = this.attempt === 0 && connection.getState().state === 'connecting';
    this.attempt += 1;
    if (!first) this.say('reconnecting', { attempt: this.attempt, nextAttemptAt: null });
    const socket = new WebSocket(this.url);
    this.socket = socket;
    this.subscribed.clear();
    socket.onopen = () => this.opened();
    socket.onmessage = (event) => this.received(event.data as string);
    socket.onclose = (event) => {
      if (this.socket === socket) this.closed(event);
    };
    this.listen();
  }

  private opened(): void {
    this.say('catching-up', { nextAttemptAt: null, reason: null });
    for (const channel of this.records) this.send({ op: 'subscribe', channel });
    this.sync();
    serverClock.forget();
    for (const after of FIRST_PINGS_MS) window.setTimeout(this.ping, after);
    this.pingLater();
    if (this.records.size === 0) this.say('live', {});
  }

  private closed(event: CloseEvent): void {
    this.socket = null;
    for (const store of [rfqs, trades, notifications]) store.lost();
    window.clearTimeout(this.timers.ping);
    window.clearTimeout(this.timers.silence);
    if (this.closedByUs) return;
    const reason = event.reason || null;
    if (event.code === 4401) this.say('signed-out', { reason });
    else if (event.code === 4409) this.say('replaced', { reason });
    else this.lost(navigator.onLine ? 'reconnecting' : 'offline', reason);
  }

  private lost(state: LinkState, reason: string | null): void {
    const base = Math.min(LONGEST_DELAY_MS, FIRST_DELAY_MS * 2 ** Math.min(this.attempt, 10));
    const delay = base * (0.75 + Math.random() * 0.5);
    this.say(state, { attempt: this.attempt, nextAttemptAt: Date.now() + delay, reason });
    window.clearTimeout(this.timers.retry);
    this.timers.retry = window.setTimeout(() => this.connect(), delay);
  }

  private received(text: string): void {
    this.listen();
    const frame = JSON.parse(text) as Frame;
    connection.setState({ lastFrameAt: serverClock.now() });
    const items = frame.items ?? [];
    if (frame.type === 'snapshot' || frame.type === 'update') this.data(frame);
    else if (frame.type === 'stale') market.notice(items as StaleNotice[]);
    else if (frame.type === 'heartbeat') this.heartbeat((items[0] ?? {}) as Heartbeat);
    else if (frame.type === 'pong') this.pong(frame);
    else if (frame.type === 'error') console.warn('stream refused', items);
  }

  private data(frame: Frame): void {
    const items = frame.items ?? [];
    const isSnapshot = frame.type === 'snapshot';
    if (frame.channel === 'ticks') market.apply(items as Tick[], isSnapshot);
    else if (frame.channel === 'rfqs') this.record(rfqs, frame, items as Rfq[]);
    else if (frame.channel === 'trades') this.record(trades, frame, items as Trade[]);
    else if (frame.channel === 'notifications') {
      this.record(notifications, frame, items as Notification[]);
    }
    if (isSnapshot && connection.getState().state !== 'live') {
      // A snapshot of our own records is what makes the screen current again.
      if (frame.channel !== 'ticks' || this.records.size === 0) {
        this.attempt = 0;
        this.say('live', { attempt: 0 });
      }
    }
  }

  private record<T>(store: RecordStore<T>, frame: Frame, items: T[]): void {
    const seq = frame.seq ?? 0;
    if (frame.type === 'snapshot') store.snapshot(seq, items);
    else if (store.update(seq, items)) {
      this.send({ op: 'unsubscribe', channel: frame.channel });
      this.send({ op: 'subscribe', channel: frame.channel });
    }
  }

  private heartbeat(beat: Heartbeat): void {
    connection.setState({ sessions: beat.sessions ?? null, degraded: beat.degraded ?? [] });
  }

  private pong(frame: Frame): void {
    const sentAt = this.pings.get(frame.id ?? -1);
    const serverTime = millis(frame.serverTime);
    if (sentAt === undefined || serverTime === null) return;
    this.pings.delete(frame.id ?? -1);
    serverClock.sample(sentAt, Date.now(), serverTime);
    connection.setState({ offsetMs: serverClock.offset });
  }

  private ping = (): void => {
    this.pingId += 1;
    if (this.pings.size > 16) this.pings.clear();
    this.pings.set(this.pingId, Date.now());
    this.send({ op: 'ping', id: this.pingId });
  };

  private pingLater(): void {
    this.timers.ping = window.setTimeout(() => {
      this.ping();
      this.pingLater();
    }, PING_EVERY_MS);
  }

  /** Restarts the watch over silence; a half-dead connection never closes by itself. */
  private listen(): void {
    window.clearTimeout(this.timers.silence);
    this.timers.silence = window.setTimeout(() => {
      const socket = this.socket;
      this.socket = null;
      socket?.close();
      for (const store of [rfqs, trades, notifications]) store.lost();
      this.lost('reconnecting', 'Nothing was heard from the server');
    }, SILENCE_MS);
  }

  private syncSoon(): void {
    window.clearTimeout(this.timers.sync);
    this.timers.sync = window.setTimeout(() => this.sync(), 0);
  }

  private sync(): void {
    if (this.socket?.readyState !== WebSocket.OPEN) return;
    const add = [...this.wanted.keys()].filter((id) => !this.subscribed.has(id));
    const drop = [...this.subscribed].filter((id) => !this.wanted.has(id));
    for (let i = 0; i < add.length; i += MOST_IDS_PER_FRAME) {
      const instrumentIds = add.slice(i, i + MOST_IDS_PER_FRAME);
      this.send({ op: 'subscribe', channel: 'ticks', instrumentIds });
    }
    if (drop.length > 0) this.send({ op: 'unsubscribe', channel: 'ticks', instrumentIds: drop });
    this.subscribed = new Set(this.wanted.keys());
  }

  private send(message: object): void {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  private say(state: LinkState, more: Partial<ReturnType<typeof connection.getState>>): void {
    const before = connection.getState();
    const down = (s: LinkState) => s === 'reconnecting' || s === 'offline' || s === 'catching-up';
    // "Since" of an outage is its beginning, not the beginning of the latest try.
    const same = before.state === state || (down(before.state) && down(state));
    connection.setState({ ...more, state, since: same ? before.since : serverClock.now() });
  }
}
