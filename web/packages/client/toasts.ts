import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';

/** A failure of something in the background; it stays until it is read. */
export interface Toast {
  id: number;
  title: string;
  text: string;
  traceId: string | null;
}

const MOST = 4;
let ids = 0;

export const toasts = createStore<{ items: readonly Toast[] }>(() => ({ items: [] }));

export function complain(title: string, text: string, traceId: string | null = null): void {
  ids += 1;
  const toast = { id: ids, title, text, traceId };
  toasts.setState((s) => ({
    items: [...s.items.filter((t) => t.title !== title), toast].slice(-MOST),
  }));
}

export const dismiss = (id: number): void =>
  toasts.setState((s) => ({ items: s.items.filter((t) => t.id !== id) }));

export const useToasts = (): readonly Toast[] => useStore(toasts, (s) => s.items);
