// The lab's own code in a process of its own, compiled beside the test: to be killed, or to be an ordinary user.
import { transformSync } from '@swc/core';
import { chmodSync, mkdirSync, readFileSync, readdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const source = fileURLToPath(new URL('../src/', import.meta.url));
const modules = fileURLToPath(new URL('../../../node_modules', import.meta.url));

/** Writes a program that may import from './lab/index.js'; returns its path. Everybody may read it. */
export function programElsewhere(dir: string, text: string): string {
  chmodSync(dir, 0o777);
  mkdirSync(join(dir, 'lab'));
  for (const name of readdirSync(source)) {
    const { code } = transformSync(readFileSync(join(source, name), 'utf8'), {
      filename: name,
      jsc: { target: 'es2022', parser: { syntax: 'typescript' } },
    });
    writeFileSync(
      join(dir, 'lab', name.replace(/\.ts$/, '.js')),
      code
        .replaceAll(/(from '\.\/[a-z-]+)\.ts'/g, "$1.js'")
        .replaceAll(/(from "\.\/[a-z-]+)\.ts"/g, '$1.js"'),
    );
  }
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  symlinkSync(modules, join(dir, 'node_modules'));
  const program = join(dir, 'program.js');
  writeFileSync(program, text);
  return program;
}
