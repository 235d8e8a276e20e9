/**
 * Writing all of it: a disk that fills, or that is at a limit, takes a part without a word and refuses only the next write.
 *
 * Source: pwrite(2).
 */
import { write, writeSync } from 'node:fs';
import { promisify } from 'node:util';
import { OsError } from './types.ts';

const writeElsewhere = promisify(write);

/** At `position`; at the end of a file that was opened for appending. Throws what the file system says. */
export function writeWhole(fd: number, bytes: Uint8Array, position: number): void {
  for (let done = 0; done < bytes.length;) {
    const written = writeSync(fd, bytes, done, bytes.length - done, position + done);
    if (written === 0) throw new OsError('EIO', 'write', null);
    done += written;
  }
}

/** The same in a thread of its own, for a disk that may be slow. `fd` and `bytes` are left alone until it resolves. */
export async function writtenWhole(fd: number, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length;) {
    const { bytesWritten } = await writeElsewhere(fd, bytes, done, bytes.length - done, position + done);
    if (bytesWritten === 0) throw new OsError('EIO', 'write', null);
    done += bytesWritten;
  }
}
