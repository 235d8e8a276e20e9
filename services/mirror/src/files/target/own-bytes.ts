/**
 * What operations keep in memory. They come as views of the frame that they are a part of, and a frame may hold a megabyte
 * of fields that nobody knows beside the name of one file.
 */

import type { Attributes, FileOperation } from '../../transport/types.ts';
import { namedBytes } from '../batch-limits.ts';

/** All of them are views of the same bytes, which are mostly something else. */
export function holdsMuchElse(operations: readonly FileOperation[]): boolean {
  const [first] = operations;
  if (first === undefined) return false;
  const own = operations.reduce(
    (sum, one) => sum + namedBytes(one) + (one.kind === 'put' ? one.contents.length : 0),
    0,
  );
  return nameOf(first).buffer.byteLength > 2 * own;
}

function nameOf(operation: FileOperation): Buffer {
  if (operation.kind === 'move') return operation.from;
  return operation.kind === 'place' ? operation.to : operation.path;
}

/** The same, with nothing of the frame. */
export function ownBytes(operation: FileOperation): FileOperation {
  switch (operation.kind) {
    case 'move':
      return { ...operation, from: Buffer.from(operation.from) };
    case 'place':
      return { ...operation, to: Buffer.from(operation.to) };
    case 'remove':
      return { ...operation, path: Buffer.from(operation.path) };
    case 'hard-link':
      return { ...operation, path: Buffer.from(operation.path), to: Buffer.from(operation.to) };
    case 'put': {
      const { path, attributes, contents, version } = operation;
      return {
        ...operation,
        path: Buffer.from(path),
        attributes: copiedAttributes(attributes),
        contents: Buffer.from(contents),
        version: Buffer.from(version),
      };
    }
    case 'patch':
    case 'set':
      return {
        ...operation,
        path: Buffer.from(operation.path),
        attributes: copiedAttributes(operation.attributes),
      };
  }
}

function copiedAttributes(attributes: Attributes): Attributes {
  return {
    ...attributes,
    link: Buffer.from(attributes.link),
    extended: attributes.extended.map(([name, value]) => [Buffer.from(name), Buffer.from(value)]),
  };
}
