/**
 * The times at which an automatic failback may happen. Grammar:
 *
 *   window  = [ days " " ] time "-" time
 *   days    = "daily" | part { "," part }
 *   part    = day [ "-" day ]                 Fri-Mon passes the end of the week
 *   day     = "Mon" | "Tue" | "Wed" | "Thu" | "Fri" | "Sat" | "Sun"       in any case
 *   time    = "00:00" ... "24:00"             local time of the server
 *
 * A window that ends before it begins passes midnight and belongs to the day on which it begins.
 */

import type { Parsed } from './quantity.ts';
import { describe, invalid, ok, quote } from './quantity.ts';
import type { FailbackWindow } from './types.ts';

const dayNames = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const example = 'days and times such as "Mon-Fri 01:00-05:00"';
const dayMinutes = 24 * 60;

export function parseWindow(raw: unknown): Parsed<FailbackWindow> {
  if (typeof raw !== 'string') return invalid(`${describe(raw)} is not a failback window; write ${example}`);
  const match = /^(?:(\S+)\s+)?(\d{2}:\d{2})-(\d{2}:\d{2})$/.exec(raw.trim());
  if (match === null) return invalid(`${quote(raw)} is not a failback window; write ${example}`);
  const days = parseDays(match[1] ?? 'daily');
  if (days.kind === 'invalid') return days;
  const fromMinute = minuteOf(match[2] ?? '');
  const toMinute = minuteOf(match[3] ?? '');
  if (fromMinute === null || toMinute === null || fromMinute === dayMinutes) {
    return invalid(`${quote(raw)} has a time that does not exist; write times from 00:00 to 24:00`);
  }
  if (fromMinute === toMinute) return invalid(`${quote(raw)} begins and ends at once; write ${example}`);
  return ok({ days: days.value, fromMinute, toMinute });
}

/** As it would be written in the file, in canonical form. */
export function formatWindow(window: FailbackWindow): string {
  const days = window.days.length === 7 ? 'daily' : window.days.map((day) => dayNames[day] ?? '?').join(',');
  return `${days} ${clock(window.fromMinute)}-${clock(window.toMinute)}`;
}

/** Whether a local moment is inside the window. `day`: 0 is Sunday; `minute` of that day. */
export function isInWindow(window: FailbackWindow, day: number, minute: number): boolean {
  const { days, fromMinute, toMinute } = window;
  if (fromMinute < toMinute) return days.includes(day) && minute >= fromMinute && minute < toMinute;
  return (days.includes(day) && minute >= fromMinute) || (days.includes((day + 6) % 7) && minute < toMinute);
}

function parseDays(text: string): Parsed<readonly number[]> {
  if (text.toLowerCase() === 'daily') return ok([0, 1, 2, 3, 4, 5, 6]);
  const days = new Set<number>();
  for (const part of text.split(',', 8)) {
    const [from = '', to = from, more] = part.split('-', 3);
    const first = dayOf(from);
    const last = dayOf(to);
    if (first === -1 || last === -1 || more !== undefined) {
      return invalid(`${quote(part)} is not a day or range of days; write ${example}, or daily`);
    }
    for (let day = first; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === last) break;
    }
  }
  return ok([...days].sort((a, b) => a - b));
}

function dayOf(text: string): number {
  return dayNames.findIndex((name) => name.toLowerCase() === text.toLowerCase());
}

function minuteOf(text: string): number | null {
  const minute = Number(text.slice(0, 2)) * 60 + Number(text.slice(3));
  return Number(text.slice(3)) < 60 && minute <= dayMinutes ? minute : null;
}

function clock(minute: number): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  return `${two(Math.floor(minute / 60))}:${two(minute % 60)}`;
}
