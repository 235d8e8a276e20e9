/** The desired state: validated whole, compared, stored by compare-and-swap. A bad file changes nothing. */

import {
  configToJson,
  diffConfig,
  keys,
  parseConfig,
  refuseReplacing,
  refuseShrinking,
  refuseTaking,
  replacingGroups,
  sceneOf,
  lookedAtGroups,
  withEpochs,
  withLeaving,
  opsMax,
  type ClusterConfig,
  type Compare,
  type Member,
} from '@holdfast/core';
import type { admin } from '@holdfast/proto';
import { bootMs } from '@holdfast/wire/directory';
import { failure, type Answer } from '@holdfast/wire/rpc';
import { deedPut } from './deed.ts';
import type { QuorumService } from './service.ts';
import { readYaml } from './yaml-text.ts';

const storeMs = 2_000;
const yamlBytesMax = 1024 * 1024;
/** etcd takes requests of 1.5 MiB; the rest of the transaction needs little. */
const storedBytesMax = 1_400_000;
/** That many are named in the history; the others are counted. */
const toldMax = 5;

export async function apply(
  service: Pick<QuorumService, 'state' | 'storeNow' | 'dispatch'>,
  request: admin.ApplyRequest,
  by: string,
  wall: number,
): Promise<Answer<admin.ApplyReply>> {
  const file = request.file === '' ? 'cluster.yaml' : request.file;
  if (request.yaml.length > yamlBytesMax) return failure('invalid', `${file}: is larger than 1 MiB`);
  const written = readYaml(request.yaml, file);
  if (written.kind === 'invalid') return failure('invalid', written.says);
  const { view } = service.state;
  const members: Member[] = [...view.members.values()].map((held) => held.value);
  const parsed = parseConfig(written.value, file, members);
  if (parsed.kind === 'invalid') return failure('invalid', parsed.errors.join('\n'));
  const before = view.config;
  const records = new Map([...view.groups].map(([name, held]) => [name, held.value]));
  const scene = sceneOf(service.state, bootMs());
  const dated = withEpochs(before?.value ?? null, parsed.config, view.revision);
  const after = withLeaving(scene, before?.value ?? null, dated, view.revision);
  const unsafe = [
    ...refuseReplacing(before?.value ?? null, parsed.config, records),
    ...refuseShrinking(before?.value ?? null, parsed.config),
    ...refuseTaking(scene, before?.value ?? null, after),
  ];
  if (unsafe.length > 0) return failure('unsafe', unsafe.map((says) => `${file}: ${says}`).join('\n'));
  const looked = new Set([
    ...replacingGroups(before?.value ?? null, after),
    ...lookedAtGroups(before?.value ?? null, after),
  ]);
  const value = valueOf(after);
  const tooMuch = refuseSize(value, after, looked.size);
  if (tooMuch !== null) return failure(tooMuch.kind, `${file}: ${tooMuch.says}`);
  const differences = diffConfig(before?.value ?? null, parsed.config);
  const reply = (changed: boolean, revision: bigint): Answer<admin.ApplyReply> => ({
    kind: 'ok',
    value: { changed, differences, warnings: [...parsed.warnings], revision },
  });
  const changes = !request.dryRun && (differences.length > 0 || before === null);
  const does = `applied ${file}: ${told(differences)}`;
  const deed = deedPut({ by, wall, kind: 'applied', subject: 'config', does }, view.revision);
  const answer = await service.storeNow.txn(
    {
      compares: [
        { kind: 'mod-revision', key: keys.config, revision: before?.modRevision ?? 0n },
        // What was refused or not by where a group is must still be so.
        ...[...looked].map((name): Compare => ({
          kind: 'mod-revision',
          key: keys.group(name),
          revision: view.groups.get(name)?.modRevision ?? 0n,
        })),
      ],
      // Without a change, too, the store is asked: this member may not have heard of a later configuration.
      puts: changes ? [{ key: keys.config, value }, deed] : [],
      deletes: [],
      reads: [keys.config],
    },
    storeMs,
  );
  switch (answer.kind) {
    case 'succeeded':
      service.dispatch({ kind: 'changed', revision: answer.revision, rows: answer.rows });
      return changes ? reply(true, answer.revision) : reply(false, before?.modRevision ?? 0n);
    case 'compare-failed':
      service.dispatch({ kind: 'changed', revision: answer.revision, rows: answer.rows });
      return failure(
        'unsafe',
        'somebody else changed the configuration just now, or a group moved; look at it and apply again',
      );
    case 'unknown':
      return failure(
        'unreachable',
        `the cluster's store does not answer: ${answer.says}; apply again, it does no harm`,
      );
  }
}

const valueOf = (config: ClusterConfig): string => JSON.stringify({ config: configToJson(config) });

/** What the store would not take in one transaction, whatever it is that has to be smaller. */
function refuseSize(
  value: string,
  after: ClusterConfig,
  looked: number,
): { readonly kind: 'invalid' | 'unsafe'; readonly says: string } | null {
  const lookedMax = opsMax - 1;
  if (looked > lookedMax) {
    const says = `${looked} groups are removed or get other addresses at once, at most ${lookedMax} may; apply it in parts`;
    return { kind: 'invalid', says };
  }
  if (Buffer.byteLength(value) <= storedBytesMax) return null;
  const own = Buffer.byteLength(valueOf({ ...after, leaving: [] }));
  if (own <= storedBytesMax) {
    const says =
      'with what servers have yet to let go of from earlier configurations it is too large for the store; wait for them, or apply it in parts';
    return { kind: 'unsafe', says };
  }
  const says = `with all its defaults it has ${own} bytes, and ${storedBytesMax} fit into the store; use fewer groups, or split the cluster`;
  return { kind: 'invalid', says };
}

function told(differences: readonly string[]): string {
  if (differences.length === 0) return 'nothing is different';
  const more = differences.length - toldMax;
  return [...differences.slice(0, toldMax), ...(more > 0 ? [`and ${more} more`] : [])].join('; ');
}
