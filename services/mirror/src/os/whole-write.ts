/**
 * Writing all of it: a disk that fills, or that is at a limit, takes a part without a word and refuses only the next write.
 *
 * Source: pwrite(2).
 */
import { writeSync } from 'node:fs';
import { OsError } from './types.ts';

/** At `position`; at the end of a file that was opened for appending. Throws what the file system says. */
export function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const written = writeSync(fd, bytes, done, bytes.length - done, position + done);
    if (written === 0) throw new OsError('EIO', 'write', null);
    done += written;
  }
}
