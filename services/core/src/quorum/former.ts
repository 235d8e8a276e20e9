/**
 * A group that was handed over while its former owner still let go of it (docs/adr/0023): the leader sees that to its end
 * before anything else becomes of the group.
 */

import type { MemberId } from '../names.ts';
import type { Ownership } from '../records.ts';
import { claimOf } from '../vantage.ts';
import { notAsked } from './asked.ts';
import type { Case, Judgement } from './case.ts';
import { letGo, stay, withoutItsWord } from './changes.ts';
import { heardAt, reportFor, saysFenced, seconds, serverDownAt } from './scene.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;

/** Null when the owner has begun, or may begin. */
export function judgeFormer(c: Case, own: Owned): Judgement | null {
  const { after, owner, epoch } = own;
  if (after === undefined || after.server === owner || hasBegun(c, owner, epoch)) return null;
  const { scene, config } = c;
  const said = saysFenced(scene, after.server, config.name, after.epoch) !== null;
  // The owner hears it just as we do. One that does not is told by the store.
  const toldAt = (scene.view.groups.get(config.name)?.changedAt ?? scene.now) + scene.heartbeatMs;
  if (said && scene.now >= toldAt) return letGo(c, own);
  const downFrom = serverDownAt(scene, after.server, config);
  if (!said && scene.now >= downFrom) {
    const unasked = notAsked(scene, config, after.server, owner);
    if (unasked !== null) return stay('blocked', unasked, null, [unasked]);
    const silentFor = seconds(scene.now - heardAt(scene, after.server));
    return withoutItsWord(
      c,
      own,
      after.server,
      `${after.server} was silent for ${silentFor} and did not renew`,
    );
  }
  const reason = `${owner} takes ${config.name} over as soon as ${after.server} has let go of it`;
  return stay('failing-over', reason, said ? toldAt : downFrom);
}

/** Its own word that it began, or had begun: it waited for the former owner itself. */
function hasBegun({ scene, config }: Case, server: MemberId, epoch: bigint): boolean {
  const report = reportFor(scene, server, config.name);
  const claim = claimOf(scene.vantage, server, config.name);
  return [report, claim].some(
    (word) => word?.epoch === epoch && (word.state === 'acquiring' || word.state === 'active'),
  );
}
