import { preferences } from '@client/preferences';

type Theme = 'dark' | 'light' | 'system' | undefined;

/** Dark unless the user, or their system when they chose that, says otherwise. */
export function effectiveTheme(theme: Theme): 'dark' | 'light' {
  if (theme === 'system') {
    return window.matchMedia('(prefers-color-scheme: light)').matches ? 'light' : 'dark';
  }
  return theme ?? 'dark';
}

/** Keeps the page in the chosen theme from before the first paint. */
export function followTheme(): () => void {
  const apply = () => {
    const { theme, colourBlind, highContrast } = preferences.getState().kept;
    const page = document.documentElement;
    page.dataset.theme = effectiveTheme(theme);
    page.dataset.price = colourBlind ? 'cvd' : 'standard';
    page.dataset.contrast = highContrast ? 'high' : 'standard';
  };
  apply();
  window.matchMedia('(prefers-color-scheme: light)').addEventListener('change', apply);
  return preferences.subscribe(apply);
}
