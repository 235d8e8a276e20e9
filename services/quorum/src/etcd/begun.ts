/**
 * Whether etcd ever began on this member, remembered apart from its data: a folder that lost all of it (a disk that is
 * not mounted, a restored backup) looks like one that never had any.
 *
 *   B1  once etcd began, no start may found a cluster or enter one as new: the data is there, or the start is refused
 *   B2  the mark is written only when there is a log, and before this member offers its store: an etcd that never got
 *       as far as its log may begin again
 */

import { existsSync } from 'node:fs';
import {
  describeProblem,
  pathIn,
  systemProblem,
  writeDurably,
  type MemberDirectory,
} from '@holdfast/wire/directory';
import { mayHaveLog } from './preflight.ts';

const fileOf = (directory: MemberDirectory): string => pathIn(directory.path, 'state', 'etcd-began');
const dataOf = (directory: MemberDirectory): string => pathIn(directory.path, 'etcd');

/** B1. `founding`: it would be started as a new cluster. */
export function hasBegun(directory: MemberDirectory, founding: boolean): boolean {
  if (existsSync(fileOf(directory)) || mayHaveLog(dataOf(directory))) return true;
  if (!founding) return false;
  // A directory of an earlier version has no mark. A founder that knows others, or has a part of the data, began.
  const { id, members } = directory.record;
  return members.some((m) => m.id !== id) || existsSync(pathIn(dataOf(directory), 'member'));
}

/** B2. Says what is wrong when it can't be written, or null. */
export async function markBegun(directory: MemberDirectory, wallMs: number): Promise<string | null> {
  const file = fileOf(directory);
  if (existsSync(file) || !mayHaveLog(dataOf(directory))) return null;
  try {
    await writeDurably(file, `${new Date(wallMs).toISOString()}\n`);
    return null;
  } catch (error) {
    return describeProblem(systemProblem('write', file, error).error);
  }
}
