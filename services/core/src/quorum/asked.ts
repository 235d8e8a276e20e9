/**
 * Rule 11 from the other side. An owner without a control plane lives on the promises of the servers that it knows. A server
 * that was added since promised nothing, so it does not take over from a silent owner before that owner has told, with a
 * renewal, that it would ask it, too. What the owner tells later counts from later, so G covers whatever it had before.
 * Nor may a person force it (I1): nobody here can know whether the owner lives. One that it asks can take over and pass the
 * group on; and a person who knows that the owner is off says so by removing it.
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
  const others = asked.filter((s) => s !== owner);
  const lives = others.length === 0 ? 'alone' : `with the promises of ${others.join(' and ')}`;
  return (
    `${server} is new to ${config.name}, and ${owner} has not renewed since: it may go on ${lives}. ` +
    (others.length === 0 ? '' : `Fail over to ${others.join(' or ')}, or `) +
    `make sure that ${owner} is off and remove it (holdfast remove ${owner})`
  );
}

/** The candidates to take over from a silent owner. */
export function whenSilent(
  scene: Scene,
  config: GroupConfig,
  owner: MemberId,
  all: readonly Candidate[],
): readonly Candidate[] {
  return all.map((s) => {
    const blocker = s.blocker ?? notAsked(scene, config, owner, s.server);
    return blocker === s.blocker ? s : { ...s, blocker, forceable: false };
  });
}
