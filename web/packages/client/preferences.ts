import type { Preferences } from '@model/types';
import { useStore } from 'zustand';
import { createStore } from 'zustand/vanilla';
import { asApiError } from './problem';
import { api } from './rest';

/** What the workstation itself keeps in the user's preferences. Unknown keys are left alone. */
export interface Kept {
  theme?: 'dark' | 'light' | 'system';
  /** Another pair of colours for up and down. */
  colourBlind?: boolean;
  highContrast?: boolean;
  watchlistId?: string | null;
  pinned?: string[];
  collapsedGroups?: string[];
  shortcutsOff?: boolean;
  columns?: Record<string, unknown>;
  tileSizes?: Record<string, string>;
}

export interface PreferencesState {
  kept: Kept;
  loaded: boolean;
  /** Why the last change is not on the server, in words; null when it is. */
  failure: string | null;
  savedAt: number | null;
}

const LOCAL_KEY = 'orion.preferences';
const SAVE_AFTER_MS = 700;

function local(): Kept {
  try {
    return JSON.parse(localStorage.getItem(LOCAL_KEY) ?? '{}') as Kept;
  } catch {
    return {};
  }
}

export const preferences = createStore<PreferencesState>(() => ({
  // The last known copy paints the right theme before the server has answered.
  kept: local(),
  loaded: false,
  failure: null,
  savedAt: null,
}));

let server: Preferences = { version: 0 };
let dirty: Partial<Kept> = {};
let timer = 0;
let saving = false;

export async function loadPreferences(): Promise<void> {
  try {
    server = await api.preferences();
    const kept = { ...(server as Kept), ...dirty };
    preferences.setState({ kept, loaded: true });
    remember(kept);
  } catch (error) {
    preferences.setState({ loaded: true, failure: asApiError(error).message });
  }
}

const remember = (kept: Kept) =>
  localStorage.setItem(
    LOCAL_KEY,
    JSON.stringify({
      theme: kept.theme,
      colourBlind: kept.colourBlind,
      highContrast: kept.highContrast,
    }),
  );

/** Changes here at once and on the server a moment later. */
export function keep(change: Partial<Kept>): void {
  const kept = { ...preferences.getState().kept, ...change };
  dirty = { ...dirty, ...change };
  preferences.setState({ kept });
  remember(kept);
  window.clearTimeout(timer);
  timer = window.setTimeout(() => void save(), SAVE_AFTER_MS);
}

async function save(retry = true): Promise<void> {
  if (saving) {
    timer = window.setTimeout(() => void save(), SAVE_AFTER_MS);
    return;
  }
  saving = true;
  const sent = dirty;
  dirty = {};
  try {
    server = await api.savePreferences({ ...server, ...sent } as Preferences);
    preferences.setState({ failure: null, savedAt: Date.now() });
  } catch (error) {
    dirty = { ...sent, ...dirty };
    const failure = asApiError(error);
    // Somebody else (another window) saved meanwhile: take theirs, put ours on top, once.
    if (failure.status === 409 && retry) {
      saving = false;
      await loadPreferences();
      return save(false);
    }
    preferences.setState({ failure: failure.message });
  } finally {
    saving = false;
  }
}

export const usePreferences = <T>(select: (kept: Kept) => T): T =>
  useStore(preferences, (s) => select(s.kept));
