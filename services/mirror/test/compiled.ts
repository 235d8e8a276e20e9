import { existsSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { buildSync } from 'esbuild';

const modules = join(import.meta.dirname, '../../../node_modules');
/** They find their own files, and have to lie where they are. */
const natives = ['koffi', 'lmdb', '@node-rs/xxhash'];
/** Packages in CommonJS call it for what Node has built in. */
const requires =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";

/**
 * Other processes and threads can't load TypeScript: these files of src (`os/tree`) as JavaScript in `to`, with what they import.
 * Answers its URL.
 */
export function compiled(to: string, ...files: readonly string[]): string {
  bundle(to, join(import.meta.dirname, '../src'), files);
  return pathToFileURL(to).href;
}

/** The same for a file of this folder that is a program (`target-child`). Answers its path. */
export function program(to: string, name: string): string {
  bundle(to, import.meta.dirname, [name]);
  return join(to, `${name}.js`);
}

function bundle(to: string, source: string, files: readonly string[]): void {
  buildSync({
    ...{ entryPoints: files.map((file) => join(source, `${file}.ts`)), outbase: source, outdir: to },
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node' },
    ...{ external: natives, conditions: ['source'], banner: { js: requires } },
  });
  writeFileSync(join(to, 'package.json'), '{ "type": "module" }');
  const found = join(to, 'node_modules');
  if (!existsSync(found)) symlinkSync(modules, found);
}
