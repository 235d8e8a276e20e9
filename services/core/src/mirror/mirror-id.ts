/** How mirrors are called: a group's mirror is GROUP/NAME, one without a failover has its own name. */

import type { GroupConfig } from '../config/types.ts';
import type { GroupId, MirrorId } from '../names.ts';

export function mirrorId(group: GroupId, mirror: string): MirrorId {
  return `${group}/${mirror}`;
}

export function mirrorsOf(group: GroupConfig): readonly MirrorId[] {
  return group.mirrors.map((m) => mirrorId(group.name, m.name));
}
