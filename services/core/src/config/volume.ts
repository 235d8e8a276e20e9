/**
 * A volume: blocks of a device or an image file. Its size is written and not found out, because it is the same on every
 * server, and a device that is smaller has to be refused before anything is copied to it.
 */

import { normalised, parseData } from './folder.ts';
import type { Place } from './place.ts';
import { readDuration, readFields, readOptional, readWith, readWord, warn, wrong } from './place.ts';
import { formatSize, invalid, ok, parseSize, quote, type Parsed } from './quantity.ts';
import { parseFilePath } from './text.ts';
import type { VolumeConfig } from './types.ts';

/** One NBD request never spans part of such a block: the block of file systems and databases. */
const blockBytes = 4_096;
const sizes = { min: 2 ** 20, max: 2 ** 50 } as const;
const granularity = { default: 65_536, min: 4_096, max: 2 ** 20 } as const;
const targetLossMs = { default: 5_000, min: 500, max: 600_000 } as const;

const keys = ['path', 'size', 'mode', 'onTargetLoss', 'targetLoss', 'granularity', 'attach'];
const example = '{ path: /dev/vg0/d3, size: 20GiB }';

/** `attaches`: by whom a device is made of it; a volume of no group has nobody. */
export function readVolume(place: Place, attaches: 'group' | 'nobody'): VolumeConfig | null {
  const fields = readFields(place, keys, example);
  if (fields === null) return null;
  const path = readWith(fields.at('path'), parseVolumePath, 'a device or an image file, such as /dev/vg0/d3');
  const sizeBytes = readWith(fields.at('size'), parseVolumeSize, 'a size such as 20GiB');
  const mode = readWord(fields.at('mode'), ['async', 'sync'], 'async') ?? 'async';
  const lossPlace = fields.at('targetLoss');
  for (const key of ['onTargetLoss', 'targetLoss'])
    if (mode === 'async' && fields.at(key).raw !== undefined)
      warn(fields.at(key), 'has no effect in mode async, where no write waits for a target');
  const attachPlace = fields.at('attach');
  if (attaches === 'nobody' && attachPlace.raw !== undefined)
    wrong(attachPlace, "belongs to a group's volume, which moves with its owner; remove it");
  return {
    path: path ?? '',
    sizeBytes: sizeBytes ?? 0,
    mode,
    onTargetLoss: readWord(fields.at('onTargetLoss'), ['continue', 'block'], 'continue') ?? 'continue',
    targetLossMs: readDuration(lossPlace, targetLossMs.default, targetLossMs.min, targetLossMs.max),
    granularityBytes:
      readOptional(fields.at('granularity'), parseGranularity, 'a size such as 64KiB') ?? granularity.default,
    attach: readWord(attachPlace, ['none', 'nbd-client', 'nbdfuse'], 'none') ?? 'none',
  };
}

/** A device, or an image file among data. */
export function parseVolumePath(raw: unknown): Parsed<string> {
  const path = parseFilePath(raw);
  if (path.kind === 'invalid') return path;
  const { value } = path;
  if (!value.startsWith('/dev/') || value.startsWith('/dev/shm/')) return parseData(raw, 'an image file');
  const wanted = normalised(value);
  return wanted === value ? ok(value) : invalid(`${quote(raw)} is not a normalised path; write ${wanted}`);
}

function parseVolumeSize(raw: unknown): Parsed<number> {
  const size = parseSize(raw);
  if (size.kind === 'invalid') return size;
  const { value } = size;
  if (value < sizes.min || value > sizes.max) {
    const range = `${formatSize(sizes.min)} to ${formatSize(sizes.max)}`;
    return invalid(`${quote(raw)} is out of range; write a size from ${range}`);
  }
  if (value % blockBytes === 0) return size;
  const below = formatSize(value - (value % blockBytes));
  return invalid(`${quote(raw)} is not a whole number of blocks of 4KiB; write ${below}`);
}

function parseGranularity(raw: unknown): Parsed<number> {
  const size = parseSize(raw);
  if (size.kind === 'invalid') return size;
  const { value } = size;
  const isPower = Number.isInteger(Math.log2(value));
  if (isPower && value >= granularity.min && value <= granularity.max) return size;
  const range = `${formatSize(granularity.min)} to ${formatSize(granularity.max)}`;
  return invalid(`${quote(raw)} is not a power of two from ${range}; write one such as 64KiB`);
}
