#!/usr/bin/env node
/**
 * Makes what runs, in services/cli/dist/bundle: each process and each thread as one file with all that it imports. To find,
 * read and compile some hundred modules takes longer than all else that a command or a process does at its start (ADR 28).
 * A large one is three files: NAME.cjs is its body, NAME.cache V8's code cache of it, and NAME.js starts it with that (ADR 32).
 *
 *   B1  from the sources, so that what runs can't be older than they are; types are the compiler's (`tsc -b`)
 *   B2  a file is replaced as a whole, and only if it differs: a process may be starting from it
 *   B3  a file that is no longer made stays for a day: a process that runs may load it late
 *   B4  native packages, which find their own files, stay outside
 *   B5  a small one is NAME.js alone, the guard above all: to read and check a cache takes longer than to do without
 *   B6  all are in one folder, so a thread's or a program's entry has a name of its own
 *   B7  a body is ASCII and begins with its mark, the hash of the rest, which is in the seal of its cache
 *   B8  caches are made by a build, not for tests: it takes seconds, and without them all is the same but slower
 *   B9  what few commands load late is a body of its own, scripts/bundle/seldom.js: the others neither read nor unpack it
 *   B10 no `import()` is left in a body, of Node's own modules neither: a script that V8 runs from a cache can't carry it out
 */
import { createHash } from 'node:crypto';
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
import { cacheOf } from './bundle/compiled.cjs';
import { makeCaches } from './bundle/caches.js';
import { instead } from './bundle/instead.js';
import { leftOut, seldomEntry } from './bundle/seldom.js';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const services = join(root, 'services');
const folder = join(services, 'cli/dist/bundle');
const keptMs = 24 * 60 * 60 * 1000;

const command = { holdfast: 'cli/src/main.ts' };
/** Of the processes, as cli/src/run/programs.ts, cli/src/lab/standing.ts and cli/bin name them. */
const processes = {
  agent: 'agent/src/main.ts',
  guard: 'guard/src/main.ts',
  quorum: 'quorum/src/main.ts',
  mirror: 'mirror/src/process/main.ts',
  'standing-program': 'cli/src/lab/standing-program.ts',
};
/** How sources find the entry of a thread, or a program, that is beside them. */
const beside = /new URL\('\.\/([\w-]+)\.js', import\.meta\.url\)/g;

/** B5: from how many bytes on it has a cache. */
const smallBytes = 128 * 1024;

const common = {
  ...{ absWorkingDir: root, outdir: folder, write: false, logLevel: 'warning' },
  ...{ bundle: true, format: 'cjs', platform: 'node', target: 'node20', conditions: ['source'] },
  supported: { 'dynamic-import': false }, // B10.
};

const programs = {
  ...common,
  // Beside it, and read on demand only: Node takes longer to read it than to start the process. The sources are not in it.
  sourcemap: 'linked',
  sourcesContent: false,
  // Modules are strict, and a directive has to come first.
  banner: { js: `'use strict'; const ownUrl = require('node:url').pathToFileURL(__filename).href;` },
  define: { 'import.meta.url': 'ownUrl', 'import.meta.dirname': '__dirname' },
  // B4; and what gRPC would load for what we never ask of it.
  external: ['koffi', 'lmdb', '@node-rs/xxhash', '@grpc/proto-loader'],
  plugins: [instead],
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
  const [starter, ...made] = await Promise.all([
    build({ ...common, entryPoints: [join(root, 'scripts/bundle/entry.cjs')] }),
    build({ ...programs, entryPoints: entries() }),
    build({ ...programs, entryPoints: within(command), plugins: [instead, leftOut] }),
    build({ ...programs, ...seldomEntry }),
  ]);
  const files = [
    { path: join(folder, 'package.json'), contents: '{ "type": "commonjs" }\n' },
    ...made
      .flatMap(({ outputFiles }) => outputFiles)
      .flatMap((file) => filesOf(file, starter.outputFiles[0].contents)),
  ];
  mkdirSync(folder, { recursive: true });
  for (const { path, contents } of files) replace(path, Buffer.from(contents));
  const paths = files.map(({ path }) => path);
  const bodies = paths.filter((path) => path.endsWith('.cjs'));
  removeOld(new Set([...paths, ...bodies.map(cacheOf)].map((path) => basename(path))));
  return bodies;
}

/** Its text: of what answers the command while its cache is made. */
async function member() {
  const entryPoints = [join(root, 'scripts/bundle/member.js')];
  const { outputFiles } = await build({ ...programs, sourcemap: false, entryPoints });
  return outputFiles[0].contents;
}

/** B5, B7. Of a file that esbuild made. */
function filesOf({ path, contents, text }, starter) {
  if (!path.endsWith('.js') || contents.length < smallBytes) return [{ path, contents }];
  const body = `${before}${ascii(text)}${after}`;
  return [
    { path: path.replace(/\.js$/, '.cjs'), contents: `${markOf(body)}${body}` },
    { path, contents: starter },
  ];
}

/** Where esbuild leaves others, which is in comments and regular expressions, an escape means the same. */
const ascii = (text) =>
  text.replace(/[^\0-\x7f]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`);

/**
 * A function, so that V8 gets the text as it was read (compiled.cjs). Node's own loader, which has a `module`, calls it. In
 * the first line, so that the lines of a source map fit.
 */
const names = 'exports, require, module, __filename, __dirname';
const before = `(typeof module === 'undefined' ? (body) => body : (body) => body(${names}))(function (${names}) {`;
const after = '\n});\n';

/** In the first line, so that the lines of a source map fit. */
const markOf = (body) => `/*${createHash('sha256').update(body).digest('hex')}*/`;

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

if (resolve(process.argv[1] ?? '') === fileURLToPath(import.meta.url))
  await makeCaches(await bundle(), await member()); // B8.
