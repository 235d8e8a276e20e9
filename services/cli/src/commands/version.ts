/** `holdfast version`. */
import { readFile } from 'node:fs/promises';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { ok, type Ended } from '../trouble.ts';

export async function version(context: Context): Promise<Ended> {
  const file = new URL('../../package.json', import.meta.url);
  const found: unknown = Reflect.get(Object(JSON.parse(await readFile(file, 'utf8'))) as object, 'version');
  if (typeof found !== 'string') throw new Error('package.json has no version');
  const value = {
    version: found,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
  await show(context, {
    value,
    lines: (_paint, wide) => [
      wide ? `holdfast ${found} (node ${value.node}, ${value.platform})` : `holdfast ${found}`,
    ],
  });
  return ok(exitStatus.done);
}
