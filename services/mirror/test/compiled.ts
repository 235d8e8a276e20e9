import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

/**
 * Other processes and threads can't load TypeScript: these files of src (`os/tree`) as JavaScript in `to`, with what they import.
 * Answers its URL.
 */
export function compiled(to: string, ...files: readonly string[]): string {
  const source = join(import.meta.dirname, '../src');
  // It has to lie where it is.
  const koffi = createRequire(import.meta.url).resolve('koffi');
  buildSync({
    ...{ entryPoints: files.map((file) => join(source, `${file}.ts`)), outbase: source, outdir: to },
    ...{ alias: { koffi }, external: [koffi], conditions: ['source'] },
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node' },
  });
  writeFileSync(join(to, 'package.json'), '{ "type": "module" }');
  return pathToFileURL(to).href;
}
