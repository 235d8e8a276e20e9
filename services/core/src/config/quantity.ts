/**
 * Durations, sizes and rates as people write them: a number with a unit, never a bare number. `5` may mean seconds to
 * one reader and milliseconds to the next, so it is refused with the spelling that was probably meant.
 *
 * Results are whole milliseconds, bytes and bits per second; a fraction such as 1.5s is exact or refused.
 */

/** A value from text, or one clause that says what was found and what to write instead. */
export type Parsed<T> =
  { readonly kind: 'ok'; readonly value: T } | { readonly kind: 'invalid'; readonly reason: string };

export function ok<T>(value: T): Parsed<T> {
  return { kind: 'ok', value };
}

export function invalid(reason: string): { readonly kind: 'invalid'; readonly reason: string } {
  return { kind: 'invalid', reason };
}

interface Scale {
  readonly noun: string;
  /** Smallest first; the formatter takes the largest that divides the value. */
  readonly units: readonly (readonly [unit: string, factor: number])[];
  /** Spellings that are not accepted, and the unit (with a factor where it differs) that was probably meant. */
  readonly meant: Readonly<Record<string, readonly [unit: string, times: number]>>;
  readonly assumed: string;
  readonly example: string;
}

const durationScale: Scale = {
  noun: 'duration',
  units: [
    ['ms', 1],
    ['s', 1_000],
    ['m', 60_000],
    ['h', 3_600_000],
  ],
  meant: {
    msec: ['ms', 1],
    millis: ['ms', 1],
    sec: ['s', 1],
    secs: ['s', 1],
    second: ['s', 1],
    seconds: ['s', 1],
    min: ['m', 1],
    mins: ['m', 1],
    minute: ['m', 1],
    minutes: ['m', 1],
    hour: ['h', 1],
    hours: ['h', 1],
    d: ['h', 24],
    day: ['h', 24],
    days: ['h', 24],
  },
  assumed: 's',
  example: 'a number with ms, s, m or h, such as 30s',
};

const sizeScale: Scale = {
  noun: 'size',
  units: [
    ['KB', 1e3],
    ['KiB', 2 ** 10],
    ['MB', 1e6],
    ['MiB', 2 ** 20],
    ['GB', 1e9],
    ['GiB', 2 ** 30],
  ],
  meant: {
    k: ['KiB', 1],
    m: ['MiB', 1],
    g: ['GiB', 1],
    t: ['GiB', 1_024],
    tb: ['GB', 1_000],
    tib: ['GiB', 1_024],
  },
  assumed: 'MiB',
  example: 'a number with KiB, MiB, GiB, KB, MB or GB, such as 100MiB',
};

const rateScale: Scale = {
  noun: 'rate',
  units: [
    ['Kbit', 1e3],
    ['Mbit', 1e6],
    ['Gbit', 1e9],
  ],
  meant: {
    k: ['Kbit', 1],
    m: ['Mbit', 1],
    g: ['Gbit', 1],
    kbps: ['Kbit', 1],
    mbps: ['Mbit', 1],
    gbps: ['Gbit', 1],
    'kbit/s': ['Kbit', 1],
    'mbit/s': ['Mbit', 1],
    'gbit/s': ['Gbit', 1],
  },
  assumed: 'Mbit',
  example: 'a number with Kbit, Mbit or Gbit, such as 100Mbit',
};

/** `35s`, `500ms`, `1.5h` to milliseconds. */
export function parseDuration(raw: unknown): Parsed<number> {
  return parseQuantity(raw, durationScale);
}

/** `100MiB`, `2GB` to bytes. */
export function parseSize(raw: unknown): Parsed<number> {
  return parseQuantity(raw, sizeScale);
}

const rateMax = 999e9;

/** `100Mbit` to bits per second; 1Kbit to 999Gbit. */
export function parseRate(raw: unknown): Parsed<number> {
  const rate = parseQuantity(raw, rateScale);
  if (rate.kind === 'invalid' || (rate.value >= 1e3 && rate.value <= rateMax)) return rate;
  return invalid(`${quote(raw)} is out of range; write a rate from 1Kbit to 999Gbit`);
}

/** Milliseconds in the largest unit that keeps them exact: 35000 is `35s`, 1500 is `1500ms`. */
export function formatDuration(ms: number): string {
  if (!Number.isFinite(ms)) return 'unlimited';
  const whole = Math.round(ms);
  if (whole === 0) return '0s';
  return `${whole < 0 ? '-' : ''}${formatQuantity(Math.abs(whole), durationScale)}`;
}

/** Bytes in the largest unit that keeps them exact; plain bytes as `5 bytes`. */
export function formatSize(bytes: number): string {
  return bytes % 1_000 === 0 || bytes % 1_024 === 0 ? formatQuantity(bytes, sizeScale) : `${bytes} bytes`;
}

/** Bits per second in the largest unit that keeps them exact. */
export function formatRate(bitsPerSecond: number): string {
  return bitsPerSecond % 1_000 === 0 ? formatQuantity(bitsPerSecond, rateScale) : `${bitsPerSecond} bit/s`;
}

function formatQuantity(value: number, scale: Scale): string {
  const fitting = scale.units.filter(([, factor]) => value % factor === 0);
  // The fewest digits read best: 1048576 is 1MiB rather than 1024KiB.
  const texts = fitting.map(([unit, factor]) => `${value / factor}${unit}`);
  return texts.reduce((best, text) => (text.length <= best.length ? text : best), texts[0] ?? String(value));
}

const shape = /^(\d{1,15})(?:\.(\d{1,9}))?\s*([A-Za-z/]*)$/;

function parseQuantity(raw: unknown, scale: Scale): Parsed<number> {
  const text = typeof raw === 'number' ? String(raw) : raw;
  if (typeof text !== 'string')
    return invalid(`${describe(raw)} is not a ${scale.noun}; write ${scale.example}`);
  const match = shape.exec(text.trim());
  if (match === null) return invalid(`${quote(text)} is not a ${scale.noun}; write ${scale.example}`);
  const [, digits = '', fraction = '', unit = ''] = match;
  const number = fraction === '' ? digits : `${digits}.${fraction}`;
  if (unit === '') return invalid(`${quote(text)} has no unit; write ${number}${scale.assumed}`);
  const factor = scale.units.find(([name]) => name === unit)?.[1];
  if (factor === undefined || /\s/.test(text.trim())) return invalid(misspelt(text, number, unit, scale));
  const scaled = BigInt(digits + fraction) * BigInt(factor);
  const divisor = 10n ** BigInt(fraction.length);
  const value = Number(scaled / divisor);
  if (scaled % divisor !== 0n)
    return invalid(`${quote(text)} is too precise; write a whole number of a smaller unit`);
  if (!Number.isSafeInteger(value)) return invalid(`${quote(text)} is too large; write ${scale.example}`);
  return ok(value);
}

function misspelt(text: string, number: string, unit: string, scale: Scale): string {
  const key = unit.toLowerCase();
  const near = scale.units.find(([name]) => name.toLowerCase() === key);
  const meant = near === undefined ? scale.meant[key] : ([near[0], 1] as const);
  if (meant === undefined) return `${quote(text)} has an unknown unit; write ${scale.example}`;
  const amount = meant[1] === 1 ? number : String(Number(number) * meant[1]);
  return `${quote(text)} is not a ${scale.noun}; write ${amount}${meant[0]}`;
}

const shownLengthMax = 80;

/** Text in double quotes, shortened: for errors. Numbers are quoted too, as the reader cannot see YAML's types. */
export function quote(raw: unknown): string {
  const text = typeof raw === 'string' ? raw : describe(raw);
  return JSON.stringify(text.length > shownLengthMax ? `${text.slice(0, shownLengthMax)}...` : text);
}

/** Any value of a parsed file in a few words: for errors. Never throws. */
export function describe(raw: unknown): string {
  switch (typeof raw) {
    case 'string':
      return quote(raw);
    case 'number':
    case 'boolean':
    case 'bigint':
      return String(raw);
    case 'object':
      if (raw === null) return 'an empty value';
      return Array.isArray(raw) ? 'a list' : 'a mapping';
    case 'undefined':
      return 'nothing';
    case 'symbol':
    case 'function':
      return `a ${typeof raw}`;
  }
}
