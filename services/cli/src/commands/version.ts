/** `holdfast version`. */
import { version as own } from '@holdfast/wire/version';
import type { Context } from '../context.ts';
import { exitStatus } from '../exit-status.ts';
import { show } from '../show.ts';
import { ok, type Ended } from '../trouble.ts';

export async function version(context: Context): Promise<Ended> {
  const value = {
    version: own,
    node: process.versions.node,
    platform: `${process.platform}-${process.arch}`,
  };
  await show(context, {
    value,
    lines: (_paint, wide) => [
      wide ? `holdfast ${own} (node ${value.node}, ${value.platform})` : `holdfast ${own}`,
    ],
  });
  return ok(exitStatus.done);
}
