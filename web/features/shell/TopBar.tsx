import { serverClock } from '@client/clock';
import type { LinkState } from '@client/connection';
import { roleWord } from '@client/dealing';
import { desk } from '@client/desk';
import { useConnection } from '@client/hooks';
import { keep, usePreferences } from '@client/preferences';
import { signOut } from '@client/rest';
import { useSession } from '@client/session';
import { complain } from '@client/toasts';
import { T } from '@model/testids';
import { clock, longDay } from '@model/time';
import { IconButton, Pill, type Tone } from '@ui/controls';
import { Icon, type IconName } from '@ui/icons';
import { Menu, MenuItem, MenuLine, MenuTitle } from '@ui/layers';
import { useEffect, useRef } from 'react';
import { toggleTheme } from './commands';
import { Notifications } from './Notifications';
import { effectiveTheme } from './theme';

export const LINK: Record<LinkState, { icon: IconName; tone: Tone; word: string }> = {
  connecting: { icon: 'half', tone: 'plain', word: 'Connecting' },
  'catching-up': { icon: 'retry', tone: 'warn', word: 'Catching up' },
  live: { icon: 'dot', tone: 'ok', word: 'Live' },
  reconnecting: { icon: 'offline', tone: 'warn', word: 'Reconnecting' },
  offline: { icon: 'cross', tone: 'bad', word: 'Offline' },
  'signed-out': { icon: 'lock', tone: 'bad', word: 'Signed out' },
  replaced: { icon: 'copy', tone: 'warn', word: 'Open elsewhere' },
};

const CLOCK_MS = 67;

/** Writes the text itself: fifteen times a second is no work for React. */
function Clock() {
  const time = useRef<HTMLSpanElement>(null);
  const day = useRef<HTMLSpanElement>(null);
  useEffect(() => {
    const show = () => {
      const now = serverClock.now();
      if (time.current) time.current.textContent = clock(now);
      if (day.current) day.current.textContent = longDay(now);
    };
    show();
    const timer = setInterval(show, CLOCK_MS);
    return () => clearInterval(timer);
  }, []);
  return (
    <span className="topbar-item" title="The server's clock">
      <span className="faint small" ref={day} />
      <span className="utc" ref={time} data-testid={T.clock} />
      <span className="faint small">UTC</span>
    </span>
  );
}

function Link() {
  const state = useConnection((c) => c.state);
  const since = useConnection((c) => c.since);
  const { icon, tone, word } = LINK[state];
  return (
    <span className="topbar-item" role="status" data-testid={T.connection} data-state={state}>
      <Pill icon={icon} tone={tone}>
        {word}
      </Pill>
      <span className="link-when num">since {clock(since, false)}</span>
    </span>
  );
}

function UserMenu() {
  const me = useSession((s) => s.me);
  const theme = usePreferences((k) => k.theme);
  const colourBlind = usePreferences((k) => k.colourBlind);
  const highContrast = usePreferences((k) => k.highContrast);
  if (!me) return null;
  const roles = me.roles.map(roleWord).join(', ');
  const leave = () =>
    signOut().catch(() => complain('You are still signed in', 'The server could not be reached'));
  return (
    <Menu
      label="User menu"
      trigger={
        <button type="button" className="user-btn" data-testid={T.userMenu}>
          <Icon name="user" size={14} />
          <span>{me.displayName}</span>
          <span className="faint">{roles}</span>
          <Icon name="chevron" size={9} />
        </button>
      }
    >
      <MenuTitle>
        {me.user}
        {me.desk ? `, ${me.desk}` : ''}
      </MenuTitle>
      <MenuLine />
      <MenuTitle>Theme</MenuTitle>
      {(['dark', 'light', 'system'] as const).map((one) => (
        <MenuItem
          key={one}
          checked={(theme ?? 'dark') === one}
          onSelect={() => keep({ theme: one })}
        >
          {one === 'dark' ? 'Dark' : one === 'light' ? 'Light' : 'As the system'}
        </MenuItem>
      ))}
      <MenuLine />
      <MenuTitle>Colours</MenuTitle>
      <MenuItem
        checked={colourBlind === true}
        testId={T.colourBlind}
        onSelect={() => keep({ colourBlind: !colourBlind })}
      >
        Colour-blind prices
      </MenuItem>
      <MenuItem
        checked={highContrast === true}
        testId={T.highContrast}
        onSelect={() => keep({ highContrast: !highContrast })}
      >
        High contrast
      </MenuItem>
      <MenuLine />
      <MenuItem testId={T.signOut} onSelect={() => void leave()}>
        Sign out
      </MenuItem>
    </Menu>
  );
}

const Mark = () => (
  <svg width="18" height="18" viewBox="0 0 18 18" aria-hidden="true" fill="currentColor">
    <circle cx="3.5" cy="13.5" r="2" />
    <circle cx="9" cy="9" r="2" />
    <circle cx="14.5" cy="4.5" r="2.200" />
    <circle cx="14.200" cy="13.800" r="1.200" />
  </svg>
);

export function TopBar() {
  const me = useSession((s) => s.me);
  const theme = usePreferences((k) => k.theme);
  const other = effectiveTheme(theme) === 'dark' ? 'light' : 'dark';
  return (
    <header className="topbar" data-testid={T.topBar}>
      <h1 className="topbar-item brand">
        <Mark />
        Orion
      </h1>
      <span className="topbar-item strong" data-testid={T.tenant} data-tenant={me?.tenantId}>
        {me?.tenantName}
      </span>
      <span className="topbar-rest" />
      <Link />
      <Clock />
      <span className="topbar-item topbar-tools">
        <Notifications />
        <IconButton
          icon="contrast"
          size={14}
          label={`Switch to the ${other} theme`}
          testId={T.themeToggle}
          onClick={toggleTheme}
        />
        <IconButton
          icon="help"
          size={14}
          label="Keyboard shortcuts"
          testId={T.shortcutsButton}
          onClick={() => desk.setState({ shortcutsOpen: true })}
        />
      </span>
      <span className="topbar-item" style={{ padding: '0 4px' }}>
        <UserMenu />
      </span>
    </header>
  );
}
