/**
 * Rule 11 from the other side. An owner without a control plane lives on the promises of the servers that it knows. A server
 * that was added since promised nothing, so it does not take over from a silent owner before that owner has told, with a
 * renewal, that it would ask it, too. What the owner tells later counts from later, so G covers whatever it had before.
 */

import type { GroupConfig } from '../config/types.ts';
import type { MemberId } from '../names.ts';
import type { Candidate } from './candidates.ts';
import type { Scene } from './scene.ts';

/** Null: the owner asks this server for its promise before it goes on without renewals. */
export function notAsked(
  scene: Scene,
  config: GroupConfig,
  owner: MemberId,
  server: MemberId,
): string | null {
  // A renewal of a version that does not tell this.
  const asked = scene.view.renewals.get(owner)?.value.asks?.[config.name];
  if (asked === undefined || asked.includes(server)) return null;
  return (
    `${server} is new to ${config.name}, and ${owner} has not renewed since: ` +
    `it may go on with the promises of the servers that it knows`
  );
}

/** The candidates to take over from a silent owner. A person may overrule it, who knows that the owner is off. */
export function whenSilent(
  scene: Scene,
  config: GroupConfig,
  owner: MemberId,
  all: readonly Candidate[],
): readonly Candidate[] {
  return all.map((s) => {
    const blocker = s.blocker ?? notAsked(scene, config, owner, s.server);
    return blocker === s.blocker ? s : { ...s, blocker, forceable: true };
  });
}
