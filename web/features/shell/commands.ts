import { desk } from '@client/desk';
import { keep, preferences } from '@client/preferences';
import type { Command } from '@model/commands';
import type { PanelSpec } from '@ui/panels';
import { effectiveTheme } from './theme';

export function toggleTheme(): void {
  const theme = effectiveTheme(preferences.getState().kept.theme) === 'dark' ? 'light' : 'dark';
  keep({ theme });
}

export function toggleMaximised(panelId: string): void {
  desk.setState((d) => ({ maximised: d.maximised === panelId ? null : panelId }));
}

function panelOfFocus(): string | null {
  const panel = document.activeElement?.closest<HTMLElement>('[data-panel]');
  return panel?.dataset.panel ?? null;
}

export function focusPanel(panelId: string): void {
  const panel = document.querySelector<HTMLElement>(`[data-panel="${panelId}"]`);
  const first = panel?.querySelector<HTMLElement>(
    '.panel-body :is(input, button:not(:disabled), [tabindex="0"])',
  );
  (first ?? panel?.querySelector<HTMLElement>('button'))?.focus();
}

export const shellCommands: Command[] = [
  {
    id: 'shell.shortcuts',
    title: 'This sheet',
    group: 'Anywhere',
    keys: ['?'],
    run: () => desk.setState((d) => ({ shortcutsOpen: !d.shortcutsOpen })),
  },
  {
    id: 'shell.theme',
    title: 'Dark or light',
    group: 'Anywhere',
    keys: ['Shift+T'],
    run: toggleTheme,
  },
  {
    id: 'shell.maximise',
    title: 'Maximise or restore the panel',
    group: 'Anywhere',
    keys: ['Alt+M'],
    can: () =>
      panelOfFocus() !== null || desk.getState().maximised !== null || 'No panel has the focus',
    run: () => {
      const id = desk.getState().maximised ?? panelOfFocus();
      if (id) toggleMaximised(id);
    },
  },
  {
    id: 'shell.restore',
    title: 'Close the top layer',
    group: 'Anywhere',
    keys: ['Escape'],
    can: () => desk.getState().maximised !== null || 'Nothing is open',
    run: () => desk.setState({ maximised: null }),
  },
  {
    id: 'shell.filter',
    title: 'Quick filter of the panel',
    group: 'Anywhere',
    keys: ['/'],
    run: () => {
      const inPanel = document.activeElement
        ?.closest('[data-panel]')
        ?.querySelector<HTMLElement>('[data-quick-filter]');
      (inPanel ?? document.querySelector<HTMLElement>('[data-quick-filter]'))?.focus();
    },
  },
];

/** Alt+1 … Alt+9 in the order of the panels. */
export const panelCommands = (panels: readonly PanelSpec[]): Command[] =>
  panels.slice(0, 9).map((panel, i) => ({
    id: `panel.${panel.id}`,
    title: `Go to ${panel.title}`,
    group: 'Panels',
    keys: [`Alt+${i + 1}`],
    run: () => {
      const { maximised } = desk.getState();
      if (maximised && maximised !== panel.id) desk.setState({ maximised: null });
      requestAnimationFrame(() => focusPanel(panel.id));
    },
  }));
