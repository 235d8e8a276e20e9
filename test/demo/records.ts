/**
 * The numbered records that the service writes, one a line, "NUMBER WALL-MS SERVER EPOCH", and what they tell of a move from
 * one server to another: which of those that the client was told of are missing.
 */
import type { RecordMark } from './record-mark.ts';
import type { Visit } from './visits.ts';

interface WrittenRecord extends RecordMark {
  readonly server: string;
  /** With the end of its line. */
  readonly bytes: number;
}

/** What a move took: the records after `found` up to `told`. */
export interface Loss {
  /** The last record that the client was told of before. */
  readonly told: RecordMark;
  /** The last one that the next server found. */
  readonly found: RecordMark;
  /** Of those told, how many are missing, and from how long a time. */
  readonly records: number;
  readonly ms: number;
}

/** From the last answers of one server to the first of the next, which came at `atMs`. */
export function lossAt(visits: readonly Visit[], next: Visit): Loss {
  const before = visits.filter(({ epoch, atMs }) => epoch !== next.epoch && atMs < next.atMs);
  const none: RecordMark = { number: 0, atMs: 0 };
  const told = before.reduce((best, { last }) => (last.number > best.number ? last : best), none);
  const { found } = next;
  const records = Math.max(0, told.number - found.number);
  return { told, found, records, ms: records === 0 ? 0 : told.atMs - found.atMs };
}

/** Whole lines only: the last may just be being written. */
export function recordsOf(text: string): WrittenRecord[] {
  const lines = text.split('\n').slice(0, -1);
  return lines.map((line) => {
    const [number = '', atMs = '', server = ''] = line.split(' ');
    return { number: Number(number), atMs: Number(atMs), server, bytes: line.length + 1 };
  });
}

/** Where the numbers do not rise by one from 1 on, in words; empty when they do. */
export function gapsIn(records: readonly RecordMark[]): string[] {
  return records.flatMap(({ number }, index) =>
    number === (records[index - 1]?.number ?? 0) + 1
      ? []
      : [`record ${records[index - 1]?.number ?? 0} is followed by ${number}`],
  );
}

/** The records that a server wrote and that nobody found after it. */
export function writtenAfter(
  records: readonly WrittenRecord[],
  server: string,
  found: RecordMark,
): WrittenRecord[] {
  return records.filter((record) => record.server === server && record.number > found.number);
}
