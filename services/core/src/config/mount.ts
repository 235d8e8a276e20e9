/** Resources that a volume brings with it: the device that is made of it, and the file system that is mounted from there. */

import { parseData } from './folder.ts';
import type { Place } from './place.ts';
import { readFields, readOptional, readWith, readWord, wrong } from './place.ts';
import { invalid, ok, quote, type Parsed } from './quantity.ts';
import { resourceDefaults } from './resource-defaults.ts';
import { nearest } from './suggest.ts';
import { parseName } from './text.ts';
import type { MirrorConfig, ResourceConfig, ResourceKind } from './types.ts';

const keys = ['mirror', 'at', 'type', 'options', 'fsck'];
const example = '{ mirror: disk, at: /srv/db, type: ext4 }';

/**
 * Before every other resource, in the order of the file: what they stand on. They are resources so that they are
 * watched over, fenced and stopped like all others.
 */
export function attachResources(mirrors: readonly MirrorConfig[]): readonly ResourceConfig[] {
  return mirrors.flatMap(({ name, dataset }) => {
    if (dataset.kind === 'files' || dataset.attach === 'none') return [];
    return [
      {
        name: attachName(name),
        runs: { kind: 'attach', mirror: name, method: dataset.attach } as const,
        ...resourceDefaults,
      },
    ];
  });
}

export function attachName(mirror: string): string {
  return `attach-${mirror}`;
}

export function readMount(place: Place, mirrors: readonly MirrorConfig[]): ResourceKind | null {
  const fields = readFields(place, keys, example);
  if (fields === null) return null;
  const mirror = readVolumeName(fields.at('mirror'), mirrors);
  const at = readWith(fields.at('at'), (raw) => parseData(raw, 'a folder'), 'a folder such as /srv/db');
  const type = readOptional(fields.at('type'), parseType, 'a file system such as ext4');
  const options = readOptional(fields.at('options'), parseOptions, 'options such as noatime,nodiratime');
  const fsck = readWord(fields.at('fsck'), ['preen', 'none', 'force'], 'preen') ?? 'preen';
  if (mirror === null || at === null) return null;
  return { kind: 'mount', mirror, at, type, options, fsck };
}

function readVolumeName(place: Place, mirrors: readonly MirrorConfig[]): string | null {
  const name = readWith(place, parseName, "the name of one of the group's volumes");
  if (name === null) return null;
  const volumes = mirrors.filter(({ dataset }) => dataset.kind === 'volume');
  const found = volumes.find((mirror) => mirror.name === name);
  if (found === undefined) {
    const names = volumes.map((mirror) => mirror.name);
    const near = nearest(name, names);
    const list = names.length === 0 ? 'it has none' : `write one of ${names.join(', ')}`;
    wrong(
      place,
      `${quote(name)} is not a volume of this group; ${near === null ? list : `did you mean ${near}?`}`,
    );
    return null;
  }
  if (found.dataset.kind === 'volume' && found.dataset.attach === 'none')
    wrong(place, `${quote(name)} is attached to no device; write attach: nbd-client in its volume`);
  return name;
}

/** As mount(8) and fsck(8) take it. */
function parseType(raw: unknown): Parsed<string> {
  if (typeof raw === 'string' && /^[a-z][a-z0-9]{0,31}$/.test(raw)) return ok(raw);
  return invalid(`${quote(raw)} is not a file system; write one such as ext4 or xfs`);
}

function parseOptions(raw: unknown): Parsed<string> {
  if (typeof raw === 'string' && /^[!-~]{1,1024}$/.test(raw) && !raw.startsWith('-')) return ok(raw);
  return invalid(
    `${quote(raw)} are not options of a mount; write them with commas and no space, as in fstab`,
  );
}
