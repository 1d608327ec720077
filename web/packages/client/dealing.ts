import { ageText } from '@model/time';
import type { Instrument } from '@model/types';
import { serverClock } from './clock';
import { connection } from './connection';
import { currentAge, useTicking } from './hooks';
import { market } from './market';
import { session } from './session';

const ROLE_WORDS: Record<string, string> = {
  ROLE_TRADER: 'Trader',
  ROLE_SALES: 'Sales',
  ROLE_RISK: 'Risk',
  ROLE_ANALYST: 'Analyst',
  ROLE_ADMIN: 'Admin',
  ROLE_PLATFORM: 'Platform',
};

export const roleWord = (role: string): string =>
  ROLE_WORDS[role] ?? role.replace(/^ROLE_/, '').toLowerCase();

/** Why this user cannot deal at all, whatever the instrument; null when they can. */
export function roleRefusal(): string | null {
  const { me, permissions } = session.getState();
  if (permissions.has('rfq.create')) return null;
  const role = me?.roles[0];
  return role ? `The ${roleWord(role)} role does not deal` : 'Your role does not deal';
}

/** Why this instrument cannot be dealt now, or null. The server decides again either way. */
export function dealRefusal(of: Instrument, now = serverClock.now()): string | null {
  const role = roleRefusal();
  if (role) return role;
  if (!of.dealable) return `Not entitled to deal ${of.symbol}`;
  const link = connection.getState().state;
  if (link === 'signed-out') return 'Dealing off: signed out';
  if (link !== 'live') return link === 'connecting' ? 'Connecting' : 'Dealing off: connection lost';
  const age = currentAge(of, market.get(of.instrumentId)?.tick, now);
  if (age.state === 'none') return 'Dealing off: no price yet';
  if (age.state === 'red') return `Dealing off: price is ${ageText(age.ms ?? 0)} old`;
  return null;
}

export const useDealRefusal = (of: Instrument | undefined): string | null =>
  useTicking((now) => (of ? dealRefusal(of, now) : null));
