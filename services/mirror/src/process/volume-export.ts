/** Where clients find an exported volume. */

import type { MirrorId } from '@holdfast/core';
import { pathIn } from '@holdfast/wire/directory';

/** Names have no dots, and a URI would decode what is encoded. */
export const socketOf = (dir: string, mirror: MirrorId): string =>
  pathIn(dir, 'run', `nbd-${mirror.replaceAll('/', '.')}.sock`);

/** Of a target's copy that is open for other uses; the name of no mirror ends so. */
export const offHostSocketOf = (dir: string, mirror: MirrorId): string =>
  pathIn(dir, 'run', `nbd-${mirror.replaceAll('/', '.')}.copy.sock`);

export const exportNameOf = (mirror: MirrorId): string => mirror.slice(mirror.lastIndexOf('/') + 1);

/** NBD URI specification: the path of the socket is percent-encoded. */
export function exportUri(mirror: MirrorId, socketPath: string): string {
  const encoded = socketPath.split('/').map(encodeURIComponent).join('/');
  return `nbd+unix:///${exportNameOf(mirror)}?socket=${encoded}`;
}
