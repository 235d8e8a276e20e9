/**
 * What whoever asked is told while something runs: lists of any length, and how far it is.
 *
 *   R1  a list goes in pieces, each when the last one was taken: unread answers are bounded (control-socket.ts, B1)
 */

import type { MirrorRunRow } from '@holdfast/wire/mirror';
import type { RunPorts } from './side.ts';

/** With the longest paths and every byte of them spelled out, still far below the bound. */
const rowsAtOnce = 200;
/** How often it is told how far something is. */
export const progressMs = 500;

/** Until whoever asked went away. */
export async function tellAll<T>(
  all: readonly T[],
  rowOf: (one: T) => MirrorRunRow,
  { row, room, signal }: RunPorts,
): Promise<void> {
  for (let at = 0; at < all.length && !signal.aborted; at += rowsAtOnce) {
    for (const one of all.slice(at, at + rowsAtOnce)) row(rowOf(one));
    await room(); // R1
  }
}

/** For what counts bytes: at once, and then every now and then. */
export function progressOf(target: string, { row }: RunPorts): (done: number, total: number) => void {
  let toldMs = -Infinity;
  return (done, total) => {
    const nowMs = performance.now();
    if (nowMs - toldMs < progressMs) return;
    toldMs = nowMs;
    row({ kind: 'progress', target, done, total, unit: 'bytes' });
  };
}
