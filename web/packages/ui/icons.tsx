import type { SVGProps } from 'react';

interface Glyph {
  d: string;
  /** Drawn as lines instead of filled shapes. */
  line?: boolean;
  extra?: string;
}

// A 16 × 16 set of our own; each is a shape that can be told apart without colour.
const GLYPHS = {
  up: { d: 'M8 3.2 14 12.8H2z' },
  down: { d: 'M8 12.8 2 3.2h12z' },
  dot: { d: 'M8 3.2a4.8 4.8 0 1 0 0 9.6 4.8 4.8 0 0 0 0-9.6z' },
  square: { d: 'M3.2 3.2h9.6v9.6H3.2z' },
  diamond: { d: 'M8 1.6 14.4 8 8 14.4 1.6 8z' },
  triangle: { d: 'M8 1.8 15.2 14.4H.8z' },
  half: { d: 'M8 2.2a5.8 5.8 0 0 0 0 11.6z', extra: 'M8 2.6a5.4 5.4 0 1 1 0 10.8' },
  pin: { d: 'M5 2h6l-.6 4.8 2.1 2.7H8.7L8 14.8l-.7-5.3H3.5l2.1-2.7z' },
  more: {
    d: 'M1.6 8a1.4 1.4 0 1 0 2.8 0 1.4 1.4 0 0 0-2.8 0zm5 0a1.4 1.4 0 1 0 2.8 0 1.4 1.4 0 0 0-2.8 0zm5 0a1.4 1.4 0 1 0 2.8 0 1.4 1.4 0 0 0-2.8 0z',
  },
  ring: { d: 'M8 2.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 8 2.8z', line: true },
  dashed: { d: 'M8 2.8a5.2 5.2 0 1 0 0 10.4A5.2 5.2 0 0 0 8 2.8z', line: true },
  cross: { d: 'm3.5 3.5 9 9m0-9-9 9', line: true },
  check: { d: 'm2.6 8.4 3.7 3.8L13.4 4', line: true },
  minus: { d: 'M3 8h10', line: true },
  plus: { d: 'M3 8h10M8 3v10', line: true },
  clock: { d: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 2.6V8l2.4 1.9', line: true },
  chevron: { d: 'm4 6 4 4 4-4', line: true },
  chevronRight: { d: 'm6 4 4 4-4 4', line: true },
  search: { d: 'M7 2.5a4.5 4.5 0 1 0 0 9 4.500 4.500 0 0 0 0-9zm3.4 7.9 3.6 3.600', line: true },
  bell: {
    d: 'M3.6 11.500h8.800L11.400 10V7a3.400 3.400 0 0 0-6.800 0v3zM6.800 13.700h2.400',
    line: true,
  },
  maximise: { d: 'M3 6V3h3M13 10v3h-3M10 3h3v3M6 13H3v-3', line: true },
  restore: { d: 'M6 3v3H3M10 13v-3h3M13 6h-3V3M3 10h3v3', line: true },
  lock: { d: 'M4 7.500h8V13H4zM5.600 7.500V5.600a2.400 2.400 0 0 1 4.800 0v1.900', line: true },
  copy: { d: 'M6 6h7v7H6zM10 3H3v7', line: true },
  download: { d: 'M8 2.500V10M4.900 7.100 8 10.200l3.100-3.100M3 13h10', line: true },
  retry: { d: 'M13 8a5 5 0 1 1-1.600-3.700M13 2v3h-3', line: true },
  user: {
    d: 'M8 2.800a2.700 2.700 0 1 0 0 5.400 2.700 2.700 0 0 0 0-5.400zM2.800 13.500C3.600 10.800 5.600 9.700 8 9.700s4.400 1.100 5.200 3.800',
    line: true,
  },
  help: {
    d: 'M6 6.200C6 4.900 6.900 4 8.100 4s2.100.8 2.100 2c0 1.600-2.100 1.700-2.100 3.400M8.100 12v.2',
    line: true,
  },
  contrast: { d: 'M8 2v12a6 6 0 0 0 0-12z', extra: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2z' },
  columns: { d: 'M2.500 3.500h11v9h-11zM6.200 3.500v9M9.800 3.500v9', line: true },
  offline: {
    d: 'M2 6.500a8.500 8.500 0 0 1 12 0M4.200 9a5.400 5.400 0 0 1 7.600 0M8 12v.1M2.500 14l11-12',
    line: true,
  },
  alert: { d: 'M8 2 14.500 13.500h-13zM8 6.500v3M8 11.500v.1', line: true },
  info: { d: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zm0 5.300V11M8 5v.1', line: true },
  ban: { d: 'M8 2a6 6 0 1 0 0 12A6 6 0 0 0 8 2zM3.800 3.800l8.400 8.400', line: true },
  doc: { d: 'M4 2h5.500L12 4.500V14H4zM6 7h4M6 9.500h4M6 12h2', line: true },
  shield: { d: 'M8 2l5 2v4c0 3-2 5-5 6-3-1-5-3-5-6V4zM5.700 8l1.700 1.700 3-3.200', line: true },
  arrow: { d: 'M3 8h10M9 4l4 4-4 4', line: true },
  eye: {
    d: 'M1.500 8S4 3.800 8 3.800 14.500 8 14.500 8 12 12.200 8 12.200 1.500 8 1.500 8zM8 6a2 2 0 1 0 0 4 2 2 0 0 0 0-4z',
    line: true,
  },
} satisfies Record<string, Glyph>;

export type IconName = keyof typeof GLYPHS;

interface IconProps extends Omit<SVGProps<SVGSVGElement>, 'name'> {
  name: IconName;
  size?: number;
}

/** Decoration only: whatever it means is also said in words next to it or by the button's name. */
export function Icon({ name, size = 12, className, ...rest }: IconProps) {
  const glyph: Glyph = GLYPHS[name];
  return (
    <svg
      viewBox="0 0 16 16"
      width={size}
      height={size}
      className={`icon ${glyph.line ? 'icon-line' : ''} ${className ?? ''}`}
      strokeDasharray={name === 'dashed' ? '2.6 2.8' : undefined}
      aria-hidden="true"
      focusable="false"
      {...rest}
    >
      <path d={glyph.d} />
      {glyph.extra && <path d={glyph.extra} fill="none" stroke="currentColor" strokeWidth={1.5} />}
    </svg>
  );
}
