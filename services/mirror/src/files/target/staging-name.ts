/** How the staging folder of a mirror is called, within its root and beside it. */

import { createHash } from 'node:crypto';
import { basename } from 'node:path';

export function insideName(name: string): string {
  return `.holdfast-${name.replaceAll('/', '-')}`;
}

/** Different for each mirror and for each root that one folder holds, whoever mirrors it. */
export function besideName(name: string, root: string): string {
  const digest = createHash('sha256').update(JSON.stringify([name, basename(root)]));
  return `${insideName(name)}-${digest.digest('hex').slice(0, 8)}`;
}
