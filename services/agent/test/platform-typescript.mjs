// Lets plain Node run our TypeScript sources: types are stripped by swc. For tests that start processes of their own.
import { readFile } from 'node:fs/promises';
import { register } from 'node:module';
import { fileURLToPath } from 'node:url';

export async function load(url, context, next) {
  if (!url.endsWith('.ts')) return next(url, context);
  const { transform } = await import('@swc/core');
  const source = await readFile(fileURLToPath(url), 'utf8');
  const options = {
    swcrc: false,
    sourceMaps: 'inline',
    jsc: { target: 'es2023', parser: { syntax: 'typescript' } },
  };
  const { code } = await transform(source, {
    ...options,
    filename: fileURLToPath(url),
    module: { type: 'es6' },
  });
  return { format: 'module', source: code, shortCircuit: true };
}

// Imported twice: once by --import, to register, and once as the hooks themselves.
if (!import.meta.url.includes('?hooks')) register(`${import.meta.url}?hooks`);
