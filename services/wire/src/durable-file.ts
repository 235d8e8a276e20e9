/**
 * Files that survive a power cut: a reader sees the old contents or the new, never a part.
 * Source of the recipe: rename(2) is atomic on one file system; fsync(2) of the folder makes the new name durable.
 */
import { randomBytes } from 'node:crypto';
import { open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';

/** Makes the names in a folder durable. Some systems (Windows) can't open a folder; there a rename is all there is. */
export async function syncFolder(folder: string): Promise<void> {
  if (process.platform === 'win32') return;
  const handle = await open(folder, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Writes a new file and waits until its contents are on the disk. Fails when the file is there already. */
export async function writeNew(path: string, contents: string | Uint8Array, mode = 0o600): Promise<void> {
  const handle = await open(path, 'wx', mode);
  try {
    await handle.chmod(mode);
    await handle.writeFile(contents);
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Replaces `path` atomically and durably: temporary file, fsync, rename, fsync of the folder.
 * Rejects with the system's error (ENOSPC, EACCES ...); then the old contents are still there and nothing is left over.
 */
export async function writeDurably(path: string, contents: string | Uint8Array, mode = 0o600): Promise<void> {
  const folder = dirname(path);
  const temporary = join(folder, `.${basename(path)}.${randomBytes(6).toString('hex')}.new`);
  try {
    await writeNew(temporary, contents, mode);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  await syncFolder(folder);
}
