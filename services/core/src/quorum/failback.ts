/**
 * Automatic failback: to the preferred server, once it and the group were well for a whole outage, inside the window.
 *
 *   B1  the server is heard, renews, and its service network is alive, all the time and as this service itself saw it
 *   B2  no wall clock is looked at but for the window
 *   B3  where the service failed on that server, or where a failback was in vain within an hour, the next one is a person's
 *       (docs/adr/0035): nothing goes back and forth
 *   B4  what a person moved away from the preferred server stays where it was put, until that server fails or a person moves
 *       the group again (docs/adr/0046)
 */

import { isInWindow } from '../config/index.ts';
import type { FailbackWindow } from '../config/types.ts';
import type { BootMs, MemberId, WallMs } from '../names.ts';
import { assess } from './candidates.ts';
import type { Case } from './case.ts';
import { notInStep } from './copies.ts';
import { wellUntil } from './presence.ts';
import { seconds } from './scene.ts';

export type Failback =
  | { readonly kind: 'now'; readonly to: MemberId; readonly reason: string }
  /** Not yet: why, and when to look again; null: when something happens. */
  | { readonly kind: 'waits'; readonly says: string; readonly at: BootMs | null };

const lookAgainMs = 60_000;

/** Null: nothing is to go back. */
export function failbackDue(c: Case): Failback | null {
  const { config, scene, record, wall } = c;
  const own = record?.ownership;
  const preferred = config.servers[0];
  if (config.failback !== 'automatic' || own?.kind !== 'owned' || record === null || preferred === undefined)
    return null;
  if (own.owner === preferred) return null;
  const waits = (says: string, at: BootMs | null = null): Failback => {
    return { kind: 'waits', says: `failback to ${preferred} waits ${says}`, at };
  };
  const person = record.failbackWaits;
  if (person?.server === preferred)
    // B3, B4
    return waits(`for a person (${person.why}): use holdfast failback ${config.name}`);
  const candidate = assess(scene, config, record, preferred);
  const blocker = candidate.blocker ?? candidate.failed ?? notInStep(scene, config, record, preferred); // C3 (candidates.ts)
  if (blocker !== null) return waits(`because ${blocker}`);
  if (config.failbackWindow !== null && !insideWindow(config.failbackWindow, wall))
    return waits('for its window', scene.now + lookAgainMs);
  const rest = `until ${preferred} and ${config.name} were well for ${seconds(config.rules.outageMs)}`;
  const well = scene.presence.preferred.get(config.name);
  if (well?.server !== preferred) return waits(rest);
  const changedAt = scene.view.groups.get(config.name)?.changedAt ?? scene.now;
  const from = Math.max(well.at, changedAt) + config.rules.outageMs;
  // Looked at again before it could be silent unseen.
  if (scene.now < from) return waits(rest, Math.min(from, wellUntil(scene, config, preferred)));
  return { kind: 'now', to: preferred, reason: `${preferred} is the preferred server and is well again` };
}

/** Windows are in the local time of the member that leads. */
function insideWindow(window: FailbackWindow, wall: WallMs): boolean {
  const at = new Date(wall);
  return isInWindow(window, at.getDay(), at.getHours() * 60 + at.getMinutes());
}
