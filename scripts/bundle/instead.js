/** For esbuild: what packages get instead of modules of Node, because it starts sooner. */
import { join } from 'node:path';

const folder = join(import.meta.dirname, 'instead');
/** By whom it is asked for. */
const packages = [
  { importer: /node_modules\/@grpc\/grpc-js\//, path: 'net', file: 'net.cjs' },
  { importer: /node_modules\/@grpc\/grpc-js\//, path: 'zlib', file: 'zlib.cjs' },
  { importer: /node_modules\/@grpc\/grpc-js\//, path: 'dns', file: 'dns.cjs' },
  { importer: /node_modules\/commander\//, path: 'node:child_process', file: 'child-process.cjs' },
];

export const instead = {
  name: 'instead',
  setup({ onResolve }) {
    for (const { importer, path, file } of packages)
      onResolve({ filter: new RegExp(`^${path}$`) }, (asked) =>
        importer.test(asked.importer) ? { path: join(folder, file) } : undefined,
      );
  },
};
