import type { Side } from '@model/types';
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';

/** What features tell each other: which thing is looked at, and what shall be prefilled. */
export interface Desk {
  chartInstrument: string | null;
  timeline: TimelineSubject | null;
  /** A wish to fill the ticket; `wish` grows so that the same wish twice is seen twice. */
  prefill: Prefill | null;
  openRfq: { rfqId: string; wish: number } | null;
  maximised: string | null;
  shortcutsOpen: boolean;
}

export interface TimelineSubject {
  correlationId: string;
  displayId: string;
  side: Side;
  text: string;
}

export interface Prefill {
  instrumentId: string;
  side: Side | null;
  size: string | null;
  wish: number;
}

export const desk = createStore<Desk>(() => ({
  chartInstrument: null,
  timeline: null,
  prefill: null,
  openRfq: null,
  maximised: null,
  shortcutsOpen: false,
}));

let wishes = 0;

export function prefillTicket(instrumentId: string, side: Side | null, size: string | null): void {
  wishes += 1;
  const prefill = { instrumentId, side, size, wish: wishes };
  desk.setState({ prefill, chartInstrument: instrumentId, maximised: null });
}

export function showRfq(rfqId: string): void {
  wishes += 1;
  desk.setState({ openRfq: { rfqId, wish: wishes }, maximised: null });
}

export const showTimeline = (timeline: TimelineSubject): void =>
  desk.setState({ timeline, maximised: null });
export const showChart = (chartInstrument: string): void => desk.setState({ chartInstrument });

export const useDesk = <T>(select: (state: Desk) => T): T => useStore(desk, select);
