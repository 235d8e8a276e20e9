/** Why etcd did not start or died: from its last words and from errors of the system, in words for a person. */

import { joinAnew } from '@holdfast/wire/directory';

export type EtcdFailureKind =
  'not-installed' | 'port-in-use' | 'no-data' | 'data-unreadable' | 'removed' | 'exited';

export interface EtcdFailure {
  readonly kind: EtcdFailureKind;
  /** What, where, and what to do. */
  readonly says: string;
}

/** Whether it may start the next time as it is: it ended by itself, or an older one is still on its way out. */
export const mayPass = ({ kind }: EtcdFailure): boolean => kind === 'exited';

/** An error need not be an `Error` of this realm, so it is known by its fields. */
export function errorText(error: unknown): string {
  return fieldOf(error, 'message') ?? String(error);
}

export function isMissing(error: unknown): boolean {
  return errorCode(error) === 'ENOENT';
}

/** The system's name of the error, like EADDRINUSE; empty when it has none. */
export function errorCode(error: unknown): string {
  return fieldOf(error, 'code') ?? '';
}

function fieldOf(thing: unknown, name: string): string | null {
  if (typeof thing !== 'object' || thing === null) return null;
  const value = Reflect.get(thing, name) as unknown;
  return typeof value === 'string' ? value : null;
}

/** Judges an etcd that ended by the lines it wrote in this life. */
export function failureFromLog(lines: readonly string[], how: string, dataDir: string): EtcdFailure {
  const said = lines.map(plainLine);
  const all = said.join('\n');
  const telling = said.filter((line) => /error|fatal|panic|fail|corrupt|removed/i.test(line));
  const last = (telling.length > 0 ? telling : said).slice(-3).join('; ');
  const words = last === '' ? 'it wrote nothing to its log' : `it said: ${last}`;
  if (/address already in use/.test(all)) return { kind: 'port-in-use', says: `etcd ${how}: ${words}` };
  if (/permanently removed|removed from the cluster|ID has been removed/.test(all)) {
    const says = `etcd ${how}: this member was removed from the etcd cluster (${words}). To have it back, ${joinAnew}`;
    return { kind: 'removed', says };
  }
  // Its words about that name its data, too.
  if (/no space left on device|input\/output error|disk quota exceeded/i.test(all))
    return { kind: 'exited', says: `etcd ${how}: ${words}` };
  if (dataMarks.test(all)) {
    const says = `etcd ${how}: it can't use its data in ${dataDir} (${words}). Nothing was deleted. Look at the disk that it is on; if the data can't be had back, ${joinAnew}`;
    return { kind: 'data-unreadable', says };
  }
  return { kind: 'exited', says: `etcd ${how}: ${words}` };
}

const dataMarks =
  /crc mismatch|invalid database|file size too small|unexpected fault|freelist|page \d+|bbolt|snap: |snapshot|proto: |wal: |data directory|data dir|member\/(wal|snap)/i;

/** zap writes JSON: keep level, message, error. Anything else (a panic) stays as it is; stack lines are cut. */
function plainLine(line: string): string {
  if (!line.startsWith('{')) return line.slice(0, 300);
  try {
    const entry: unknown = JSON.parse(line);
    const words = ['level', 'msg', 'error', 'path', 'dir'].flatMap((name) => fieldOf(entry, name) ?? []);
    return words.join(' ').slice(0, 300);
  } catch {
    // A line that was cut in the middle is shown as it is.
    return line.slice(0, 300);
  }
}
