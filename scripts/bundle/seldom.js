/**
 * B9: the modules that few commands load late, in a body of their own, holdfast-seldom. The body of the command has, in the place of
 * each, a line that takes it from there. By name: a command that runs while a build replaces both may ask for one later.
 */
import { join } from 'node:path';

const services = join(import.meta.dirname, '../../services');
/** All that can throw a LabError is among them, with what tells it from other errors (unexpected.ts). */
const seldom = [
  ...['apply', 'completion', 'init', 'join', 'lab', 'recover', 'replay', 'run'].map(
    (name) => `cli/src/commands/${name}.ts`,
  ),
  ...['cli/src/text/yaml.ts', 'cli/src/unexpected.ts', 'core/src/index.ts'],
];
/** By the place where esbuild finds them. */
const names = new Map(seldom.map((name) => [join(services, name), name]));

/** Each is loaded when it is asked for. */
const getter = (name) =>
  `Object.defineProperty(exports, '${name}', { enumerable: true, get: () => require('./${name}') });`;

export const seldomEntry = {
  stdin: { contents: seldom.map(getter).join('\n'), resolveDir: services, sourcefile: 'seldom.js' },
  entryNames: 'holdfast-seldom',
};

/** For the body of the command. */
export const leftOut = {
  name: 'left-out',
  setup({ onResolve, onLoad, resolve }) {
    onResolve({ filter: /./ }, async ({ path, kind, importer, resolveDir, pluginData }) => {
      if (kind !== 'dynamic-import' || pluginData === leftOut) return undefined;
      const found = await resolve(path, { kind, importer, resolveDir, pluginData: leftOut });
      const name = names.get(found.path);
      return name === undefined ? undefined : { path: name, namespace: 'seldom' };
    });
    onResolve({ filter: /^\.\/holdfast-seldom\.js$/ }, ({ path }) => ({ path, external: true }));
    onLoad({ filter: /./, namespace: 'seldom' }, ({ path }) => ({
      contents: `module.exports = require('./holdfast-seldom.js')['${path}'];`,
    }));
  },
};
