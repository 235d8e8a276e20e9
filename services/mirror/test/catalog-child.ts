/** Writes batches of changes into a catalog until it is killed; says the number and checksum of each that was written. */
import { writeSync } from 'node:fs';
import { openCatalog } from '../src/catalog/catalog.ts';
import { statOf } from './catalog-fixture.ts';

const [, , dir = ''] = process.argv;
const catalog = openCatalog(dir);
catalog.observe(Buffer.alloc(0), statOf('folder', 1), 0);
for (let batch = 0; batch < 100_000; batch += 1) {
  catalog.write(() => {
    for (let i = 0; i < 50; i += 1) {
      const path = Buffer.from(`file-${String((batch * 37 + i * 11) % 500)}`);
      const inode = ((batch * 37 + i * 11) % 500) + 2;
      const gone = (batch + i) % 7 === 0;
      catalog.observe(path, gone ? null : statOf('file', inode, { ctimeS: batch, mtimeNs: i }), 0);
    }
  });
  catalog.sweep(Infinity);
  writeSync(1, `${String(catalog.lastSequence)} ${catalog.checksum}\n`);
}
