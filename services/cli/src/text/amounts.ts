/** Times and sizes as people read them: rounded, unlike the exact forms of a configuration. */

/** 0.1 s, 12.3 s, 2 m 5 s, 3 h 20 m, 4 d 2 h. */
export function amountOfTime(ms: number): string {
  if (!Number.isFinite(ms)) return 'unknown';
  const tenths = Math.round(Math.max(0, ms) / 100);
  if (tenths < 600) return `${(tenths / 10).toFixed(1)} s`;
  const seconds = Math.round(ms / 1000);
  const [large, small] = split(seconds);
  return small === '' ? large : `${large} ${small}`;
}

function split(seconds: number): readonly [string, string] {
  const units = [
    ['d', 86_400],
    ['h', 3600],
    ['m', 60],
    ['s', 1],
  ] as const;
  for (const [index, [unit, size]] of units.entries()) {
    if (seconds < size) continue;
    const next = units[index + 1];
    const rest = next === undefined ? 0 : Math.floor((seconds % size) / next[1]);
    return [
      `${Math.floor(seconds / size)} ${unit}`,
      next === undefined || rest === 0 ? '' : `${rest} ${next[0]}`,
    ];
  }
  return ['0 s', ''];
}

/** 12 ms, 1.2 s: how long a step took. */
export function stepTime(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : amountOfTime(ms);
}

/** 0 B, 1.5 KiB, 20 GiB. */
export function amountOfBytes(bytes: number): string {
  if (!Number.isFinite(bytes)) return 'unknown';
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = Math.max(0, bytes);
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const digits = unit === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits).replace(/\.0$/, '')} ${units[unit] ?? ''}`;
}

/** 2026-11-20T10:00:00.000Z; null for no time at all. */
export function isoTime(ms: number): string | null {
  if (!(Math.abs(ms) <= 8.64e15) || ms === 0) return null;
  return new Date(ms).toISOString();
}

/** 2026-11-20 10:00:00 in UTC, as logs of several hosts are compared by it. */
export function shownTime(ms: number): string {
  return (isoTime(ms) ?? '-').replace('T', ' ').replace(/\.\d+Z$/, '');
}

/** `count(1, 'vote')` is "1 vote". */
export const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? '' : 's'}`;

/** A number for JSON: whole, and null where there is none. */
export const whole = (ms: number): number | null => (Number.isFinite(ms) ? Math.round(ms) : null);
