/** Is there room for a member? Asked before a key is made or a token is spent. */
import { readdir } from 'node:fs/promises';
import { resolve } from 'node:path';
import { directoryTrouble, wrong, type Fallible } from '../trouble.ts';

/** Null when the directory is missing or empty. */
export async function refuseMember(dir: string): Promise<Fallible<never> | null> {
  const { errorCode, errorText, memberFiles } = await import('@holdfast/wire/directory');
  const file = resolve(dir);
  try {
    const names = await readdir(file);
    if (names.length === 0) return null;
    if (!names.includes(memberFiles.record))
      return directoryTrouble({
        kind: 'not-empty',
        file,
        says: 'is not empty',
        fix: 'choose an empty or a new --dir',
      });
    const fix = 'choose another --dir, or remove this one if that member is gone';
    return directoryTrouble({
      kind: 'already-a-member',
      file,
      says: 'is a member already; nothing was changed',
      fix,
    });
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return null;
    return wrong(`${file}: can't be used: ${errorText(error)}`, 'Choose another --dir.');
  }
}

/** Whether a member could be made there, by doing all of it but the member; nothing stays of it. Null: it could. */
export async function tryPlace(dir: string): Promise<Fallible<never> | null> {
  const { tryMemberDirectory } = await import('@holdfast/wire/directory');
  const problem = await tryMemberDirectory(dir);
  return problem === null ? null : directoryTrouble(problem);
}
