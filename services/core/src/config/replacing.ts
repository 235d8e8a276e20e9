/**
 * What a new configuration may not do to a group of mode `replace`: its identity is the primary's own address, so
 * another primary, or no `replace` any more, says whose address that is.
 *
 *   K1  the primary of a group that ever had an owner stays: another order would make another address the identity
 *   K2  the own addresses go back only while each is, or may be, where it belongs: at the primary's and at the standby's
 */

import type { GroupId } from '../names.ts';
import type { GroupRecord } from '../records.ts';
import type { ClusterConfig, GroupConfig } from './types.ts';

/** Sentences for `apply`; none: it may be applied. `records`: of the same moment, compared when it is stored. */
export function refuseReplacing(
  before: ClusterConfig | null,
  after: ClusterConfig,
  records: ReadonlyMap<GroupId, GroupRecord>,
): readonly string[] {
  return [...(before?.groups.values() ?? [])].flatMap((group) => {
    const record = records.get(group.name);
    const says = record === undefined ? null : refuse(group, after.groups.get(group.name), record);
    return says === null ? [] : [`groups.${group.name}: ${says}`];
  });
}

/** The groups whose records `refuseReplacing` looks at. */
export function replacingGroups(before: ClusterConfig | null, after: ClusterConfig): readonly GroupId[] {
  return [...(before?.groups.values() ?? [])]
    .filter((group) => givesUp(group, after.groups.get(group.name)))
    .map(({ name }) => name);
}

/** Own addresses of its servers would be others. */
function givesUp({ identity, takeover }: GroupConfig, next: GroupConfig | undefined): boolean {
  if (identity.mode !== 'replace' || takeover === 'observe') return false;
  return (
    next?.identity.mode !== 'replace' ||
    next.identity.primaryAddress !== identity.primaryAddress ||
    next.identity.standbyAddress !== identity.standbyAddress
  );
}

function refuse(group: GroupConfig, next: GroupConfig | undefined, record: GroupRecord): string | null {
  if (group.identity.mode !== 'replace' || !givesUp(group, next)) return null;
  const own = record.ownership;
  const holder = own.kind === 'unowned' ? own.lastOwner : own.owner;
  if (holder === null) return null;
  const [primary = ''] = group.servers;
  if (next?.identity.mode === 'replace' && next.identity.primaryAddress !== group.identity.primaryAddress) {
    return (
      `its identity is the own address of ${primary}, and this would make it another one while ${holder} has it; ` +
      'apply it with mode add first, and with the new order after that' // K1
    );
  }
  if (holder === primary && own.kind !== 'releasing' && record.operation === null) return null; // K2
  return (
    `${holder === primary ? `${holder} is just releasing it` : `${holder} has the own address of ${primary} now`}, so the ` +
    `servers could not get their own addresses back; move it to ${primary} first (holdfast failback ${group.name}), then apply again`
  );
}
