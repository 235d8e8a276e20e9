/** How often this member's agent was started. Others refuse heartbeats of an earlier life by it. */
import { readFile } from 'node:fs/promises';
import { joinAnew, problem, systemProblem, type DirectoryProblem } from './directory-problem.ts';
import { writeDurably } from './durable-file.ts';
import { memberFiles, pathIn } from './member-directory.ts';
import { errorCode, ok, type Outcome } from './outcome.ts';

const writeOne =
  'write the seconds since 1970 (`date +%s`) into it: higher than any earlier number is all that counts';

/** The next incarnation, on disk before it is returned: a crash skips a number and never repeats one. */
export async function nextIncarnation(directory: string): Promise<Outcome<bigint, DirectoryProblem>> {
  const file = pathIn(directory, memberFiles.incarnation);
  let text: string;
  try {
    text = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') return systemProblem('read', file, error);
    const fix = `if state/ is on a disk of its own, mount it; if the rest of state/ is there, ${writeOne}; if it is not, what this member promised is lost: ${joinAnew}`;
    return problem('missing', file, 'is missing', fix);
  }
  if (!/^\d{1,18}$/.test(text)) return problem('invalid', file, 'is not a number', writeOne);
  const next = BigInt(text) + 1n;
  try {
    await writeDurably(file, `${next}\n`);
  } catch (error) {
    return systemProblem('write', file, error);
  }
  return ok(next);
}
