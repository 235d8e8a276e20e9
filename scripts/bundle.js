#!/usr/bin/env node
/**
 * Makes what runs: each process and each thread as a few files with all that they import, in services/cli/dist/bundle. To find,
 * read and compile some hundred modules takes longer than all else that a command or a process does at its start (ADR 28).
 *
 *   B1  from the sources, so that what runs can't be older than they are; types are the compiler's (`tsc -b`)
 *   B2  a file is replaced as a whole, and only if it differs: a process may be starting from it
 *   B3  a file that is no longer made stays for a day: a process that runs may load it late
 *   B4  native packages, which find their own files, stay outside
 *   B5  the guard is one file by itself
 *   B6  all are in one folder, so a thread's or a program's entry has a name of its own
 *   B7  `import('PACKAGE')` would find no names in a package of CommonJS, and is refused
 */
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const services = join(root, 'services');
const folder = join(services, 'cli/dist/bundle');
const keptMs = 24 * 60 * 60 * 1000;

/** Of the processes, as cli/src/run/programs.ts, cli/src/lab/standing.ts and cli/bin name them. */
const processes = {
  holdfast: 'cli/src/main.ts',
  agent: 'agent/src/main.ts',
  quorum: 'quorum/src/main.ts',
  mirror: 'mirror/src/process/main.ts',
  'standing-program': 'cli/src/lab/standing-program.ts',
};
/** How sources find the entry of a thread, or a program, that is beside them. */
const beside = /new URL\('\.\/([\w-]+)\.js', import\.meta\.url\)/g;

/** Packages in CommonJS call it for what Node has built in. */
const requires =
  "import { createRequire as requireFrom } from 'node:module'; const require = requireFrom(import.meta.url);";

const common = {
  ...{ absWorkingDir: root, outdir: folder, write: false, logLevel: 'warning' },
  ...{ bundle: true, format: 'esm', platform: 'node', target: 'node20', conditions: ['source'] },
  // Beside it, and read on demand only: Node takes longer to read it than to start the process.
  sourcemap: 'linked',
};

/** B4. By `require`, which takes half the time of `import`: it looks for no names in them, and lmdb is one file to it. */
const natives = {
  name: 'natives',
  setup: (making) => {
    making.onResolve({ filter: /^(koffi|lmdb|@node-rs\/xxhash)$/ }, ({ path, namespace }) =>
      namespace === 'native' ? { path, external: true } : { path, namespace: 'native' },
    );
    making.onLoad({ filter: /.*/, namespace: 'native' }, ({ path }) => ({
      contents: `module.exports = require(${JSON.stringify(path)});`,
    }));
  },
};

/** B7. */
const packages = {
  name: 'packages',
  setup: (making) => {
    making.onResolve({ filter: /^(@|[a-z-]+$|[a-z-]+\/)/ }, ({ kind, path, importer }) =>
      kind !== 'dynamic-import' || path.startsWith('@holdfast/') || importer.includes('node_modules')
        ? undefined
        : {
            errors: [{ text: `B7: ${path} is to be imported by a module of ours, which can be loaded late` }],
          },
    );
  },
};

const within = (places) =>
  Object.fromEntries(Object.entries(places).map(([name, place]) => [name, join(services, place)]));

/** B6. */
function entries() {
  const found = within(processes);
  for (const source of sources(services)) {
    for (const [, name] of readFileSync(source, 'utf8').matchAll(beside)) {
      const entry = join(dirname(source), `${name}.ts`);
      if (found[name] !== undefined && found[name] !== entry)
        throw new Error(`${entry} and ${found[name]} have one name`);
      found[name] = entry;
    }
  }
  return found;
}

const sources = (place) =>
  readdirSync(place, { withFileTypes: true }).flatMap((entry) => {
    const path = join(place, entry.name);
    if (entry.isDirectory()) return skipped.has(entry.name) ? [] : sources(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
const skipped = new Set(['dist', 'node_modules', 'test']);

export default async function bundle() {
  const made = await Promise.all([
    build({
      ...common,
      entryPoints: entries(),
      splitting: true,
      banner: { js: requires },
      plugins: [natives, packages],
      // gRPC would load it for what we never ask of it.
      external: ['@grpc/proto-loader'],
    }),
    // B5.
    build({ ...common, entryPoints: within({ guard: 'guard/src/main.ts' }) }),
  ]);
  mkdirSync(folder, { recursive: true });
  const files = made.flatMap(({ outputFiles }) => outputFiles);
  for (const { path, contents } of files) replace(path, Buffer.from(contents));
  removeOld(new Set(files.map(({ path }) => basename(path))));
}

/** B2. */
function replace(path, contents) {
  if (statSync(path, { throwIfNoEntry: false }) !== undefined && readFileSync(path).equals(contents)) return;
  const next = `${path}.${String(process.pid)}`;
  writeFileSync(next, contents);
  renameSync(next, path);
}

/** B3. */
function removeOld(current) {
  for (const name of readdirSync(folder)) {
    const path = join(folder, name);
    const file = statSync(path, { throwIfNoEntry: false });
    if (!current.has(name) && file !== undefined && Date.now() - file.mtimeMs > keptMs) unlinkSync(path);
  }
}

if (resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url)) await bundle();
