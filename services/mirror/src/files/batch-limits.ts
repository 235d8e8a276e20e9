/** How much one batch may hold: a target refuses more, and a source keeps to it. */

import type { FileOperation } from '../transport/types.ts';

/** Of one batch: operations, and bytes of contents that travel inside of them. */
export const batchLimits = {
  operations: 400_000,
  slots: 65_536,
  inlineBytes: 16 << 20,
  redoBytes: 32 << 20,
  streams: 64,
};

/** Of names and attributes, about. */
export function namedBytes(operation: FileOperation): number {
  switch (operation.kind) {
    case 'move':
      return operation.from.length + 16;
    case 'place':
      return operation.to.length + 16;
    case 'remove':
      return operation.path.length + 8;
    case 'hard-link':
      return operation.path.length + operation.to.length + 16;
    case 'put':
    case 'patch':
    case 'set': {
      let bytes = operation.path.length + operation.attributes.link.length + 80;
      for (const [name, value] of operation.attributes.extended) bytes += name.length + value.length + 8;
      return bytes;
    }
  }
}
