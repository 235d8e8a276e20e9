import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { transformFileSync } from '@swc/core';

/** Other processes and threads can't load TypeScript: src/os and src/feed as JavaScript in `to`. Answers its URL. */
export function compiled(to: string): string {
  const source = join(import.meta.dirname, '../src');
  const koffi = createRequire(import.meta.url).resolve('koffi');
  writeFileSync(join(to, 'package.json'), '{ "type": "module" }');
  for (const folder of ['os', 'feed']) {
    mkdirSync(join(to, folder));
    for (const name of readdirSync(join(source, folder))) {
      const { code } = transformFileSync(join(source, folder, name), {
        configFile: false,
        swcrc: false,
        jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
        module: { type: 'es6' },
      });
      const text = code
        .replace(/from '(\.[^']+)\.ts'/g, "from '$1.js'")
        .replace(/from 'koffi'/g, `from '${pathToFileURL(koffi).href}'`);
      writeFileSync(join(to, folder, name.replace(/\.ts$/, '.js')), text);
    }
  }
  return pathToFileURL(to).href;
}
