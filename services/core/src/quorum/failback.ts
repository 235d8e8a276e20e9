/** Automatic failback: to the preferred server, once it was well for a whole outage, inside the window. */

import { isInWindow } from '../config/index.ts';
import type { FailbackWindow } from '../config/types.ts';
import type { BootMs, MemberId, WallMs } from '../names.ts';
import { assess } from './candidates.ts';
import type { Case } from './case.ts';
import { notInStep } from './copies.ts';

export type Failback =
  | { readonly kind: 'now'; readonly to: MemberId; readonly reason: string }
  | { readonly kind: 'at'; readonly at: BootMs };

const lookAgainMs = 60_000;

export function failbackDue(c: Case): Failback | null {
  const { config, scene, record, wall } = c;
  const own = record?.ownership;
  const preferred = config.servers[0];
  if (config.failback !== 'automatic' || own?.kind !== 'owned' || record === null || preferred === undefined)
    return null;
  if (own.owner === preferred) return null;
  const candidate = assess(scene, config, record, preferred);
  if (candidate.blocker !== null || candidate.failed !== null) return null; // C3
  if (notInStep(scene, config, record, preferred) !== null) return null;
  if (config.failbackWindow !== null && !insideWindow(config.failbackWindow, wall)) {
    return { kind: 'at', at: scene.now + lookAgainMs };
  }
  // The group itself must have been at rest for a whole outage, so that nothing flaps.
  const restMs = wall - record.since;
  if (restMs >= 0 && restMs < config.rules.outageMs) {
    return { kind: 'at', at: scene.now + config.rules.outageMs - restMs };
  }
  return { kind: 'now', to: preferred, reason: `${preferred} is the preferred server and is well again` };
}

/** Windows are in the local time of the member that leads. */
function insideWindow(window: FailbackWindow, wall: WallMs): boolean {
  const at = new Date(wall);
  return isInWindow(window, at.getDay(), at.getHours() * 60 + at.getMinutes());
}
