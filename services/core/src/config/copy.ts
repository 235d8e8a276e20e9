/** Mirrors without a failover: from a server or from a group's mirror, to any servers. */

import type { GroupId, MemberId } from '../names.ts';
import { placeOf } from './dataset.ts';
import { parseRoot } from './folder.ts';
import { checkServer } from './group.ts';
import { limits } from './limits.ts';
import type { Members } from './members.ts';
import { readDataset, readTerms, termKeys } from './mirror.ts';
import type { Fields, Place } from './place.ts';
import { readFields, readList, readMapping, readOptional, readWith, wrong } from './place.ts';
import { quote } from './quantity.ts';
import { nearest } from './suggest.ts';
import { parseMemberName, parseName } from './text.ts';
import type { CopyConfig, CopySource, DatasetConfig, GroupConfig } from './types.ts';
import { parseVolumePath } from './volume.ts';

type Groups = ReadonlyMap<GroupId, GroupConfig>;

const example = '{ offsite: { from: { group: d3, mirror: data }, to: [c] } }';
const fromExample = '{ group: d3, mirror: data }, or { server: a, files: { root: /srv/d3 } }';
/** Until it is applied (mirror/epoch.ts). */
const unapplied = 0n;

/** A copy that was read, and where it stands in the file. */
export interface ReadCopy {
  readonly config: CopyConfig;
  readonly place: Place;
}

export function readCopies(place: Place, groups: Groups, members: Members | null): readonly ReadCopy[] {
  if (place.raw === undefined) return [];
  const copies: ReadCopy[] = [];
  for (const [name, child] of readMapping(place, example, limits.mirrors) ?? []) {
    const parsed = parseName(name);
    if (parsed.kind === 'invalid') wrong(child, parsed.reason);
    const config = readCopy(child, name, groups, members);
    if (config !== null) copies.push({ config, place: child });
  }
  return copies;
}

function readCopy(place: Place, name: string, groups: Groups, members: Members | null): CopyConfig | null {
  const fields = readFields(place, ['from', 'to', 'root', 'path', ...termKeys], example.slice(11, -2));
  if (fields === null) return null;
  const from = readFrom(fields.at('from'), groups, members);
  const to = readTargets(fields.at('to'), members);
  const source = from === null ? null : datasetOf(from, groups);
  const root = readRoot(fields, source);
  const terms = readTerms(fields, source?.kind ?? null);
  if (from === null || source === null) return null;
  checkTargets(fields.at('to'), from, to, groups);
  return { name, from, to, root: root ?? placeOf(source), ...terms };
}

/** Where the copy lies; null when that is not said. */
function readRoot(fields: Fields, source: DatasetConfig | null): string | null {
  const root = fields.at('root');
  const path = fields.at('path');
  if (source?.kind === 'volume' && root.raw !== undefined)
    wrong(root, 'is the folder of files; write path: for the device or image file of a volume');
  if (source?.kind === 'files' && path.raw !== undefined)
    wrong(path, 'is that of a volume; write root: for the folder of files');
  return source?.kind === 'volume'
    ? readOptional(path, parseVolumePath, 'the device or image file of the copy, such as /dev/vg0/copy')
    : readOptional(root, parseRoot, 'the folder of the copy, such as /backup/d3');
}

function readFrom(place: Place, groups: Groups, members: Members | null): CopySource | null {
  const fields = readFields(place, ['group', 'mirror', 'server', 'files', 'volume'], fromExample);
  if (fields === null) return null;
  const group = fields.at('group');
  const server = fields.at('server');
  if ((group.raw === undefined) === (server.raw === undefined)) {
    wrong(
      place,
      `names ${group.raw === undefined ? 'neither a group nor a server' : 'both'}; write ${fromExample}`,
    );
    return null;
  }
  if (server.raw !== undefined) {
    const name = readWith(server, parseMemberName, 'the name of a server');
    if (fields.at('mirror').raw !== undefined)
      wrong(fields.at('mirror'), 'belongs to a group; write files: { root: /srv/d3 }');
    const dataset = readDataset(fields, 'nobody');
    if (name === null || dataset === null) return null;
    return checkServer(server, name, members)
      ? { kind: 'server', server: name, dataset, epoch: unapplied }
      : null;
  }
  for (const key of ['files', 'volume'])
    if (fields.at(key).raw !== undefined) wrong(fields.at(key), "is that of the group's mirror; remove it");
  return readGroupSource(group, fields.at('mirror'), groups);
}

function readGroupSource(place: Place, mirrorPlace: Place, groups: Groups): CopySource | null {
  const group = readWith(place, parseName, 'the name of a group');
  const mirror = readWith(mirrorPlace, parseName, 'the name of one of its mirrors');
  if (group === null || mirror === null) return null;
  const known = groups.get(group);
  if (known === undefined) {
    wrong(place, unknownName(group, 'a group', [...groups.keys()]));
    return null;
  }
  const names = known.mirrors.map((m) => m.name);
  if (names.includes(mirror)) return { kind: 'group', group, mirror };
  wrong(mirrorPlace, unknownName(mirror, `a mirror of ${group}`, names));
  return null;
}

function unknownName(name: string, what: string, known: readonly string[]): string {
  const near = nearest(name, known);
  const list = known.length === 0 ? 'there is none' : `write one of ${known.join(', ')}`;
  return `${quote(name)} is not ${what}; ${near === null ? list : `did you mean ${near}?`}`;
}

function readTargets(place: Place, members: Members | null): readonly MemberId[] {
  const entries = readList(place, 'a list of servers, such as [c]', limits.targetsPerMirror);
  if (Array.isArray(place.raw) && place.raw.length === 0)
    wrong(place, 'is empty; write a list of servers, such as [c]');
  const names: MemberId[] = [];
  for (const entry of entries) {
    const name = readWith(entry, parseMemberName, 'the name of a server');
    if (name === null || !checkServer(entry, name, members)) continue;
    if (names.includes(name)) wrong(entry, `${quote(name)} is listed twice; list each server once`);
    else names.push(name);
  }
  return names;
}

/** A target that already has the data by another way would go in a circle. */
function checkTargets(place: Place, from: CopySource, to: readonly MemberId[], groups: Groups): void {
  for (const target of to) {
    if (from.kind === 'server' && from.server === target) {
      wrong(place, `${quote(target)} is the source itself; write another server`);
    }
    if (from.kind === 'group' && groups.get(from.group)?.servers.includes(target) === true) {
      wrong(
        place,
        `${quote(target)} is a server of ${from.group} and has this mirror already; write another server`,
      );
    }
  }
}

function datasetOf(from: CopySource, groups: Groups): DatasetConfig | null {
  if (from.kind === 'server') return from.dataset;
  return groups.get(from.group)?.mirrors.find((m) => m.name === from.mirror)?.dataset ?? null;
}
