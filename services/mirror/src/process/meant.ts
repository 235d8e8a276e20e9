/** Which targets an order of a person concerns: the one that it names, those of one name of the mirror, or all. */

import type { MemberId, MirrorId } from '@holdfast/core';
import type { MirrorRun } from '@holdfast/wire/mirror';

/** `all`: of the source. A sentence when none of them is meant. */
export function meantTargets(
  mirror: MirrorId,
  { target, targets = [] }: Pick<MirrorRun, 'target' | 'targets'>,
  all: readonly MemberId[],
): readonly MemberId[] | string {
  if (target !== '') return all.includes(target) ? [target] : `${target} is no target of ${mirror}`;
  const meant = targets.length === 0 ? all : all.filter((member) => targets.includes(member));
  return meant.length === 0 ? `${mirror} has no target` : meant;
}
