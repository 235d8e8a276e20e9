/** How often this member's agent was started. Others refuse heartbeats of an earlier life by it. */
import { readFile } from 'node:fs/promises';
import { problem, systemProblem, type DirectoryProblem } from './directory-problem.ts';
import { writeDurably } from './durable-file.ts';
import { memberFiles, pathIn } from './member-directory.ts';
import { ok, type Outcome } from './outcome.ts';

/** The next incarnation, on disk before it is returned: a crash skips a number and never repeats one. */
export async function nextIncarnation(directory: string): Promise<Outcome<bigint, DirectoryProblem>> {
  const file = pathIn(directory, memberFiles.incarnation);
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    return systemProblem('read', file, error);
  }
  if (!/^\d{1,18}$/.test(text)) {
    const fix =
      'write the seconds since 1970 (`date +%s`) into it: higher than any earlier number is all that counts';
    return problem('invalid', file, 'is not a number', fix);
  }
  const next = BigInt(text) + 1n;
  try {
    await writeDurably(file, `${next}\n`);
  } catch (error) {
    return systemProblem('write', file, error);
  }
  return ok(next);
}
