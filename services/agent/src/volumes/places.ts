/** Where the parts of an attached volume are, below DIR. The same names as the mirror process uses. */

import { join } from 'node:path';

export interface VolumePlaces {
  /** GROUP/NAME. */
  readonly mirror: string;
  /** By which NBD clients ask for it. */
  readonly exportName: string;
  /** Where its owner's mirror process serves it. */
  readonly socket: string;
  /** A link to the device for as long as it is attached: what mounts and databases are told. */
  readonly link: string;
  /** What was attached, for whoever has to undo it. */
  readonly record: string;
  /** Empty folder for a file system of our own. */
  readonly folder: string;
}

export function volumePlaces(dir: string, mirror: string): VolumePlaces {
  // Names have no dots, and a URI would decode what is encoded.
  const name = mirror.replaceAll('/', '.');
  return {
    mirror,
    exportName: mirror.slice(mirror.lastIndexOf('/') + 1),
    socket: join(dir, 'run', `nbd-${name}.sock`),
    link: join(dir, 'volumes', mirror),
    record: join(dir, 'run', `attached-${name}.json`),
    folder: join(dir, 'run', `attached-${name}`),
  };
}
