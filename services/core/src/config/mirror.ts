/** The mirrors of a group, and what they share with mirrors without a failover: which data, and how it travels. */

import { parseGlob, parseRoot } from './folder.ts';
import { limits, limitsMs } from './limits.ts';
import type { Fields, Place } from './place.ts';
import {
  readDuration,
  readFields,
  readList,
  readMapping,
  readOptional,
  readWith,
  readWord,
  warn,
  wrong,
} from './place.ts';
import { describe, invalid, ok, parseDuration, parseSize, quote, type Parsed } from './quantity.ts';
import { parseName } from './text.ts';
import { readThrottle } from './throttle.ts';
import type { CopyTerms, DatasetConfig, FilesConfig, GateConfig, MirrorConfig } from './types.ts';
import { readVolume } from './volume.ts';

const scanEveryDefaultMs = 600_000;
export const noGate: GateConfig = { maxLagMs: null, maxBytes: null, onStale: 'wait' };

/** Keys of a mirror besides where it comes from. */
export const termKeys = ['throttle', 'compress', 'encrypt', 'keepMax', 'scanEvery'];
const example = '{ data: { files: { root: /srv/d3 } } }';

export function readMirrors(place: Place): readonly MirrorConfig[] {
  if (place.raw === undefined) return [];
  const mirrors: MirrorConfig[] = [];
  for (const [name, child] of readMapping(place, example, limits.mirrorsPerGroup) ?? []) {
    const parsed = parseName(name);
    if (parsed.kind === 'invalid') wrong(child, parsed.reason);
    const fields = readFields(child, ['files', 'volume', ...termKeys], '{ files: { root: /srv/d3 } }');
    if (fields === null) continue;
    const dataset = readDataset(fields, 'group');
    const terms = readTerms(fields, dataset?.kind ?? null);
    if (dataset !== null) mirrors.push({ name, dataset, ...terms });
  }
  return mirrors;
}

/** `attaches`: see volume.ts. */
export function readDataset(fields: Fields, attaches: 'group' | 'nobody'): DatasetConfig | null {
  const files = fields.at('files');
  const volume = fields.at('volume');
  if (files.raw !== undefined && volume.raw !== undefined) {
    wrong(fields.place, 'has both files and a volume; write two mirrors');
    return null;
  }
  if (volume.raw !== undefined) {
    const read = readVolume(volume, attaches);
    return read === null ? null : { kind: 'volume', ...read };
  }
  const read = readFiles(files);
  return read === null ? null : { kind: 'files', ...read };
}

function readFiles(place: Place): FilesConfig | null {
  const fields = readFields(place, ['root', 'include', 'exclude', 'devices'], '{ root: /srv/d3 }');
  if (fields === null) return null;
  return {
    root: readWith(fields.at('root'), parseRoot, 'the folder to mirror, such as /srv/d3') ?? '',
    include: readGlobs(fields.at('include')),
    exclude: readGlobs(fields.at('exclude')),
    devices: readOptional(fields.at('devices'), parseYes, 'true or false') ?? false,
  };
}

function readGlobs(place: Place): readonly string[] {
  if (place.raw === undefined) return [];
  const globs: string[] = [];
  for (const entry of readList(place, 'a list of patterns, such as ["database/**"]', limits.globs)) {
    const glob = readWith(entry, parseGlob, 'a pattern such as "database/**"');
    if (glob === null) continue;
    if (glob.includes(', '))
      warn(entry, `${quote(glob)} is one pattern; if several are meant, give each quotes of its own`);
    globs.push(glob);
  }
  return globs;
}

function parseYes(raw: unknown): Parsed<boolean> {
  return typeof raw === 'boolean' ? ok(raw) : invalid(`${describe(raw)} found; write true or false`);
}

/** `kind`: of what is mirrored; null when that is wrong itself. */
export function readTerms(fields: Fields, kind: DatasetConfig['kind'] | null): CopyTerms {
  const { scanEveryMin, scanEveryMax } = limitsMs;
  const scanEvery = fields.at('scanEvery');
  if (kind === 'volume' && scanEvery.raw !== undefined)
    wrong(scanEvery, 'belongs to files: every write to a volume is seen as it is made; remove it');
  return {
    throttle: readThrottle(fields.at('throttle')),
    compress: readWord(fields.at('compress'), ['auto', 'always', 'never'], 'auto') ?? 'auto',
    encrypt: readWord(fields.at('encrypt'), ['always', 'never'], 'always') ?? 'always',
    keepMaxBytes: readOptional(fields.at('keepMax'), parseSize, 'a size such as 10GiB'),
    scanEveryMs: readDuration(scanEvery, scanEveryDefaultMs, scanEveryMin, scanEveryMax),
  };
}

export function readGate(place: Place, mirrors: readonly MirrorConfig[]): GateConfig {
  if (place.raw === undefined) return noGate;
  const fields = readFields(
    place,
    ['maxLag', 'maxBytes', 'onStale'],
    '{ maxLag: 30s, maxBytes: 100MiB, onStale: wait }',
  );
  if (fields === null) return noGate;
  if (mirrors.length === 0) warn(place, 'has no effect: the group has no mirrors');
  return {
    maxLagMs: readOptional(fields.at('maxLag'), parseLag, 'a duration such as 30s'),
    maxBytes: readOptional(fields.at('maxBytes'), parseSize, 'a size such as 100MiB'),
    onStale: readWord(fields.at('onStale'), ['wait', 'takeover', 'ask'], 'wait') ?? 'wait',
  };
}

function parseLag(raw: unknown): Parsed<number> {
  const lag = parseDuration(raw);
  if (lag.kind === 'invalid' || lag.value <= limitsMs.lagMax) return lag;
  return invalid('is longer than a week; leave it out for no limit');
}
