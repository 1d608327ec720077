/** Times come as ISO 8601 UTC and are shown in UTC; an unreadable one is shown as a dash. */

const two = (n: number) => String(n).padStart(2, '0');
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];
const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];

export function millis(iso: string | null | undefined): number | null {
  if (!iso) return null;
  const parsed = Date.parse(iso);
  return Number.isNaN(parsed) ? null : parsed;
}

export function clock(ms: number | null, withMillis = true): string {
  if (ms === null) return '–';
  const at = new Date(ms);
  const base = `${two(at.getUTCHours())}:${two(at.getUTCMinutes())}:${two(at.getUTCSeconds())}`;
  return withMillis ? `${base}.${String(at.getUTCMilliseconds()).padStart(3, '0')}` : base;
}

export const clockOf = (iso: string | null | undefined, withMillis = true): string =>
  clock(millis(iso), withMillis);

/** `Mon 9 Feb 2026` */
export function longDay(ms: number): string {
  const at = new Date(ms);
  return `${DAYS[at.getUTCDay()]} ${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]} ${at.getUTCFullYear()}`;
}

/** `11 Feb`, with the year when asked, from an ISO date or time. */
export function shortDay(iso: string | null | undefined, withYear = false): string {
  const ms = millis(iso);
  if (ms === null) return '–';
  const at = new Date(ms);
  const day = `${at.getUTCDate()} ${MONTHS[at.getUTCMonth()]}`;
  return withYear ? `${day} ${at.getUTCFullYear()}` : day;
}

export const dayOf = (ms: number): string => new Date(ms).toISOString().slice(0, 10);

/** Tenths up to a minute, then whole seconds, minutes, hours: `7.4 s`, `2 m`, `3 h`. */
export function ageText(ms: number): string {
  const age = Math.max(0, ms);
  if (age < 60_000) return `${(Math.floor(age / 100) / 10).toFixed(1)} s`;
  if (age < 3_600_000) return `${Math.floor(age / 60_000)} m`;
  return `${Math.floor(age / 3_600_000)} h`;
}
