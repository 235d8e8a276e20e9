import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

/**
 * Flags with which node runs TypeScript: each module is compiled when it is loaded, once for all processes that are
 * given the same folder.
 */
export function typescriptFlags(folder: string): string[] {
  const swc = pathToFileURL(createRequire(import.meta.url).resolve('@swc/core')).href;
  writeFileSync(
    join(folder, 'hooks.mjs'),
    `import { createHash } from 'node:crypto';
     import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
     import { join } from 'node:path';
     import { fileURLToPath } from 'node:url';
     const folder = ${JSON.stringify(folder)};
     export async function load(url, context, next) {
       if (!url.endsWith('.ts')) return next(url, context);
       const kept = join(folder, createHash('md5').update(url).digest('hex'));
       if (!existsSync(kept)) {
         const { default: swc } = await import(${JSON.stringify(swc)});
         const options = { configFile: false, swcrc: false, module: { type: 'es6' },
           jsc: { target: 'es2023', parser: { syntax: 'typescript' } } };
         writeFileSync(kept + process.pid, swc.transformFileSync(fileURLToPath(url), options).code);
         renameSync(kept + process.pid, kept);
       }
       return { format: 'module', source: readFileSync(kept, 'utf8'), shortCircuit: true };
     }`,
  );
  writeFileSync(
    join(folder, 'register.mjs'),
    `import { register } from 'node:module'; register('./hooks.mjs', import.meta.url);`,
  );
  return [
    '--no-warnings',
    '--conditions=source',
    '--import',
    pathToFileURL(join(folder, 'register.mjs')).href,
  ];
}
