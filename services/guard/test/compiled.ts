/** Compiles sources for tests that need real processes, so that they never run a stale build. */

import { mkdirSync, mkdtempSync, readdirSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { transformFileSync } from '@swc/core';

/** The folder of the compiled files. `rewrites` replaces imported names. */
export function compileSources(sourceDir: string, rewrites: Readonly<Record<string, string>> = {}): string {
  const outDir = mkdtempSync(join(tmpdir(), 'holdfast-compiled-'));
  writeFileSync(join(outDir, 'package.json'), '{ "type": "module" }');
  for (const name of readdirSync(sourceDir)) {
    if (!name.endsWith('.ts')) continue;
    const { code } = transformFileSync(join(sourceDir, name), {
      configFile: false,
      swcrc: false,
      jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
      module: { type: 'es6' },
    });
    const file = join(outDir, name.replace(/\.ts$/, '.js'));
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, rewriteImports(code, rewrites));
  }
  return outDir;
}

function rewriteImports(code: string, rewrites: Readonly<Record<string, string>>): string {
  return code.replace(/from '([^']+)'/g, (whole, name: string) => {
    if (rewrites[name] !== undefined) return `from '${rewrites[name]}'`;
    return name.startsWith('.') ? `from '${name.replace(/\.ts$/, '.js')}'` : whole;
  });
}
