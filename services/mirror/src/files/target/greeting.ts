/** Whether a source may come in, decided from its hello alone. Pure. */

import { protocolVersion } from '../../transport/types.ts';
import type { Hello, RefusalCode } from '../../transport/types.ts';
import type { Epoch } from '@holdfast/core';

export interface Host {
  readonly name: string;
  readonly cluster: string;
  readonly root: string;
  readonly otherRoots: readonly string[];
  readonly selection: Uint8Array;
  /** The highest that was seen. */
  readonly epoch: Epoch;
  /** Empty while it is a target. */
  readonly closed: string;
}

export interface Refusal {
  readonly code: RefusalCode;
  readonly says: string;
}

/** Null: welcome. */
export function refusalOf(hello: Hello, host: Host): Refusal | null {
  if (host.closed !== '') return { code: 'shutdown', says: host.closed };
  if (hello.protocol !== protocolVersion) {
    return {
      code: 'protocol',
      says: `it speaks version ${String(hello.protocol)}, here is ${String(protocolVersion)}`,
    };
  }
  if (hello.cluster !== host.cluster)
    return { code: 'cluster', says: `it belongs to the cluster ${hello.cluster}` };
  if (hello.mirror !== host.name)
    return { code: 'mirror', says: `it mirrors ${hello.mirror}, here is ${host.name}` };
  if (hello.role !== 'source') return { code: 'role', says: 'two targets have nothing to say to each other' };
  if (hello.epoch < host.epoch) {
    return {
      code: 'epoch',
      says: `its epoch ${hello.epoch.toString()} is over: ${host.epoch.toString()} was seen here`,
    };
  }
  if (!hello.selection.equals(host.selection)) {
    return {
      code: 'selection',
      says: 'the two sides are told to mirror different files; apply one configuration',
    };
  }
  const other = host.otherRoots.find((root) => isInside(root, host.root) || isInside(host.root, root));
  if (other !== undefined)
    return { code: 'overlap', says: `${host.root} and ${other} of another mirror overlap` };
  return null;
}

function isInside(path: string, folder: string): boolean {
  return path === folder || path.startsWith(folder.endsWith('/') ? folder : `${folder}/`);
}
