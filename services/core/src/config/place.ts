/**
 * Reading a value that a person wrote, with its place in the file. All errors are reported at once, so a reader never
 * stops at the first: it reports, returns a harmless stand-in, and the rest of the file is still checked. The
 * stand-ins never leave this folder, because a report with an error yields no configuration.
 *
 * Written by hand and not with a schema, because a schema that meets one wrong field hands back nothing of the
 * object, and then what depends on two fields, or two groups, could not be checked in the same run.
 */

import type { Parsed } from './quantity.ts';
import { describe, formatDuration, invalid, ok, parseDuration, quote } from './quantity.ts';
import { nearest } from './suggest.ts';

export interface Report {
  readonly file: string;
  readonly errors: string[];
  readonly warnings: string[];
}

/** One value of the file. The path is as a person would say it: groups.d3.servers[1]. */
export interface Place {
  readonly raw: unknown;
  readonly path: string;
  readonly report: Report;
}

export function wrong(place: Place, message: string): void {
  place.report.errors.push(sentence(place, message));
}

export function warn(place: Place, message: string): void {
  place.report.warnings.push(sentence(place, message));
}

function sentence(place: Place, message: string): string {
  return place.path === ''
    ? `${place.report.file}: ${message}`
    : `${place.report.file}: ${place.path}: ${message}`;
}

/** The place of a key of a mapping, or of an entry of a list. */
export function within(place: Place, key: string | number, raw: unknown): Place {
  return { raw, path: pathTo(place.path, key), report: place.report };
}

function pathTo(path: string, key: string | number): string {
  if (typeof key === 'number') return `${path}[${key}]`;
  if (!/^[A-Za-z0-9_-]{1,80}$/.test(key)) return `${path}[${quote(key)}]`;
  return path === '' ? key : `${path}.${key}`;
}

/** Entries of a mapping in the order of the file, or null (reported) when it is none. */
export function readMapping(
  place: Place,
  example: string,
  max: number,
): readonly (readonly [string, Place])[] | null {
  const { raw } = place;
  if (typeof raw !== 'object' || raw === null || Array.isArray(raw)) {
    wrong(
      place,
      raw === undefined ? `is missing; write ${example}` : `${describe(raw)} found; write ${example}`,
    );
    return null;
  }
  const entries = Object.entries(raw);
  if (entries.length > max) {
    wrong(place, `has ${entries.length} entries; at most ${max} are allowed`);
    return null;
  }
  return entries.map(([key, value]) => [key, within(place, key, value)]);
}

/** A mapping whose keys are known. `at` gives the place of a key; its raw value is undefined when it is absent. */
export interface Fields {
  readonly place: Place;
  readonly at: (key: string) => Place;
}

const keysMax = 200;

/**
 * Reads a mapping with these keys; any other is an error with the nearest known one. `later` are keys of the contract
 * that this version does not carry out: ignoring them would promise a protection that is not there.
 */
export function readFields(
  place: Place,
  known: readonly string[],
  example: string,
  later: readonly string[] = [],
): Fields | null {
  const entries = readMapping(place, example, keysMax);
  if (entries === null) return null;
  const values = new Map<string, Place>();
  for (const [key, child] of entries) {
    if (known.includes(key)) values.set(key, child);
    else if (later.includes(key)) wrong(child, 'is not available in this version of Holdfast; remove it');
    else wrong(child, unknownKey(key, [...known, ...later]));
  }
  return { place, at: (key) => values.get(key) ?? within(place, key, undefined) };
}

function unknownKey(key: string, known: readonly string[]): string {
  const near = nearest(key, known);
  const hint = near === null ? `write one of ${known.join(', ')}` : `did you mean ${near}?`;
  return `${quote(key)} is an unknown key; ${hint}`;
}

/** Places of the entries of a list; empty (and reported) when it is none or too long. */
export function readList(place: Place, example: string, max: number): readonly Place[] {
  const { raw } = place;
  if (!Array.isArray(raw)) {
    wrong(
      place,
      raw === undefined ? `is missing; write ${example}` : `${describe(raw)} is not a list; write ${example}`,
    );
    return [];
  }
  if (raw.length > max) {
    wrong(place, `has ${raw.length} entries; at most ${max} are allowed`);
    return [];
  }
  return Array.from(raw, (value: unknown, index) => within(place, index, value));
}

/** A value that a parser accepts, or null (reported). */
export function readWith<T>(place: Place, parse: (raw: unknown) => Parsed<T>, example: string): T | null {
  if (place.raw === undefined) {
    wrong(place, `is missing; write ${example}`);
    return null;
  }
  if (place.raw === null) {
    wrong(place, `has no value; write ${example}, or remove it`);
    return null;
  }
  const parsed = parse(place.raw);
  if (parsed.kind === 'ok') return parsed.value;
  wrong(place, parsed.reason);
  return null;
}

/** As `readWith`, but may be absent: then null without an error. */
export function readOptional<T>(place: Place, parse: (raw: unknown) => Parsed<T>, example: string): T | null {
  return place.raw === undefined ? null : readWith(place, parse, example);
}

/** One of a few words. */
export function readWord<const W extends string>(
  place: Place,
  words: readonly W[],
  whenAbsent: W | null,
): W | null {
  const list = words.join(', ');
  if (place.raw === undefined && whenAbsent !== null) return whenAbsent;
  return readWith(
    place,
    (raw) => {
      const found = words.find((word) => word === raw);
      if (found !== undefined) return ok(found);
      const near = typeof raw === 'string' ? nearest(raw, words) : null;
      return invalid(`${quote(raw)} is not one of ${list}${near === null ? '' : `; did you mean ${near}?`}`);
    },
    `one of ${list}`,
  );
}

/** A duration within bounds, in milliseconds. */
export function readDuration(place: Place, whenAbsentMs: number, minMs: number, maxMs: number): number {
  if (place.raw === undefined) return whenAbsentMs;
  const parse = (raw: unknown): Parsed<number> => {
    const parsed = parseDuration(raw);
    if (parsed.kind === 'invalid' || (parsed.value >= minMs && parsed.value <= maxMs)) return parsed;
    const max = formatDuration(maxMs);
    const range = minMs === 0 ? `at most ${max}` : `${formatDuration(minMs)} to ${max}`;
    return invalid(`${quote(raw)} is out of range; write ${range}`);
  };
  return readWith(place, parse, formatDuration(whenAbsentMs)) ?? whenAbsentMs;
}

/** A whole number within bounds. */
export function readWhole(place: Place, whenAbsent: number, min: number, max: number): number {
  if (place.raw === undefined) return whenAbsent;
  const parse = (raw: unknown): Parsed<number> =>
    typeof raw === 'number' && Number.isInteger(raw) && raw >= min && raw <= max
      ? ok(raw)
      : invalid(`${describe(raw)} found; write a whole number from ${min} to ${max}`);
  return readWith(place, parse, `a whole number from ${min} to ${max}`) ?? whenAbsent;
}

/** Keeps a report readable however wrong the file is. */
export function shorten(lines: readonly string[], max: number, file: string): string[] {
  if (lines.length <= max) return [...lines];
  return [...lines.slice(0, max), `${file}: ${lines.length - max} more like these are not shown`];
}
