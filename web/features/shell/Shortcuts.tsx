import { desk, useDesk } from '@client/desk';
import { keep, usePreferences } from '@client/preferences';
import { commands } from '@model/commands';
import { T } from '@model/testids';
import { Check } from '@ui/controls';
import { Dialog } from '@ui/layers';
import { useSyncExternalStore } from 'react';

const KEY_WORD: Record<string, string> = { ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc' };

/** Drawn from the register: what is not a command cannot be listed, and the other way round. */
export function Shortcuts() {
  const open = useDesk((d) => d.shortcutsOpen);
  const all = useSyncExternalStore(commands.subscribe, commands.all);
  const off = usePreferences((k) => k.shortcutsOff) ?? false;
  const withKeys = all.filter((c) => c.keys);
  const groups = [...new Set(withKeys.map((c) => c.group))];
  return (
    <Dialog
      open={open}
      wide
      title="Shortcuts"
      testId={T.shortcutsSheet}
      onClose={() => desk.setState({ shortcutsOpen: false })}
    >
      <div className="dialog-body" style={{ paddingBottom: 0 }}>
        <Check checked={!off} onChange={(on) => keep({ shortcutsOff: !on })}>
          Shortcuts are on (the sheet itself always opens with ?)
        </Check>
      </div>
      <div className="sheet">
        {groups.map((group) => (
          <section key={group}>
            <h3>{group}</h3>
            <dl>
              {withKeys
                .filter((c) => c.group === group)
                .map((command) => (
                  <div key={command.id}>
                    <dt>{command.title}</dt>
                    <dd>
                      {command.keys?.[0]?.split('+').map((key) => (
                        <kbd className="kbd" key={key}>
                          {KEY_WORD[key] ?? key}
                        </kbd>
                      ))}
                    </dd>
                  </div>
                ))}
            </dl>
          </section>
        ))}
        <section>
          <h3>Never</h3>
          <dl>
            <div>
              <dt>Enter in a field sends (Esc leaves the field)</dt>
            </div>
            <div>
              <dt>Tab, Ctrl W, Ctrl T are taken</dt>
            </div>
          </dl>
        </section>
      </div>
    </Dialog>
  );
}
