/** The server's time, by the offset measured over the stream; local time until then. */

interface Sample {
  offset: number;
  roundTrip: number;
}

const KEPT = 8;

export class ServerClock {
  private samples: Sample[] = [];
  private guess: number | null = null;

  /**
   * A first rough guess from a REST answer; any measured sample replaces it. A slow answer proves
   * little: where the two clocks may as well agree, they are taken to agree.
   */
  hint(sentAt: number, receivedAt: number, serverTime: number): void {
    const agree = serverTime >= sentAt && serverTime <= receivedAt;
    this.guess = agree ? 0 : serverTime - (sentAt + receivedAt) / 2;
  }

  /** `sentAt` and `receivedAt` by our clock, `serverTime` by theirs, in between. */
  sample(sentAt: number, receivedAt: number, serverTime: number): void {
    const roundTrip = receivedAt - sentAt;
    this.samples.push({ offset: serverTime - (sentAt + receivedAt) / 2, roundTrip });
    if (this.samples.length > KEPT) this.samples.shift();
  }

  /** The sample with the shortest round trip has the smallest error. */
  get offset(): number | null {
    if (this.samples.length === 0) return this.guess;
    return this.samples.reduce((best, s) => (s.roundTrip < best.roundTrip ? s : best)).offset;
  }

  get measured(): boolean {
    return this.samples.length > 0;
  }

  /** After a lost connection the clocks may have moved apart (sleep, a step): measure anew. */
  forget(): void {
    this.guess = this.offset;
    this.samples = [];
  }

  now(): number {
    return Date.now() + (this.offset ?? 0);
  }
}

export const serverClock = new ServerClock();
