/** The real command line of this installation, as a program that other hosts of a lab can run. */
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** `bin/holdfast.js`. */
export const holdfastEntry = fileURLToPath(new URL('../../bin/holdfast.js', import.meta.url));

export const holdfastArgv = (args: readonly string[]): readonly string[] => [
  process.execPath,
  holdfastEntry,
  ...args,
];

/** A folder with a program `holdfast` in it, for the PATH of `lab exec`. Idempotent. */
export function shimFolder(labDir: string): string {
  const folder = join(labDir, 'bin');
  mkdirSync(folder, { recursive: true });
  const shim = join(folder, 'holdfast');
  const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
  writeFileSync(shim, `#!/bin/sh\nexec ${quoted(process.execPath)} ${quoted(holdfastEntry)} "$@"\n`);
  chmodSync(shim, 0o755);
  return folder;
}
