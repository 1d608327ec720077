import { preferences } from '@client/preferences';
import { commands, keyName } from '@model/commands';

const TYPING = 'input:not([type="checkbox"]), textarea, select, [contenteditable="true"]';
// Inside these, arrows and letters belong to the widget itself.
const OWN_KEYS =
  '[role="grid"], [role="menu"], [role="listbox"], [role="dialog"], .ag-root-wrapper';

/** One listener for all registered keys. Fields keep their keys; browser shortcuts are never taken. */
export function listenToKeys(): () => void {
  const onKey = (event: KeyboardEvent) => {
    if (event.defaultPrevented || event.isComposing) return;
    const target = event.target instanceof Element ? event.target : null;
    const name = keyName(event);
    const typing = target?.closest(TYPING) != null;
    const modified = event.ctrlKey || event.metaKey || event.altKey;
    if (typing && name === 'Escape' && target instanceof HTMLElement) {
      // Out of the field and back to the keys; what was typed stays.
      target.blur();
      return;
    }
    if (typing && !modified) return;
    if (!modified && target?.closest(OWN_KEYS) && name !== '?') return;
    if (preferences.getState().kept.shortcutsOff && name !== '?') return;
    const command = commands.all().find((c) => c.keys?.includes(name));
    if (command && commands.run(command.id)) event.preventDefault();
  };
  window.addEventListener('keydown', onKey);
  return () => window.removeEventListener('keydown', onKey);
}
