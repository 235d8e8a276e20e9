/** What is told of a group whose owner stays as it is: it is on its way, or well, or silent for a while. */

import type { BootMs } from '../names.ts';
import type { Operation, Ownership } from '../records.ts';
import { hasToClear } from './candidates.ts';
import type { Case, Judgement } from './case.ts';
import { stay } from './changes.ts';
import { bootedSinceRenewal, heardAt, liveReportFor, seconds } from './scene.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;

export function acquiring(c: Case, own: Owned, op: Operation, downFrom: BootMs): Judgement {
  const report = liveReportFor(c.scene, own.owner, c.config.name);
  const clearing = c.scene.view.renewals.get(own.owner)?.value.clearing === true;
  const told = report?.epoch === own.epoch ? report.says : clearing ? hasToClear(own.owner) : '';
  const says = told === '' ? '' : `: ${told}`;
  const phase = op.kind === 'start' ? 'starting' : says === '' ? 'failing-over' : 'blocked';
  return stay(
    phase,
    `${own.owner} is taking ${c.config.name} over${says}`,
    downFrom,
    says === '' ? [] : [says.slice(2)],
  );
}

export function well(c: Case, own: Owned, downFrom: BootMs): Judgement {
  const { owner, epoch } = own;
  const heard = heardAt(c.scene, owner);
  const silentMs = c.scene.now - heard;
  const suspect = silentMs >= c.config.rules.suspectMs;
  const report = liveReportFor(c.scene, owner, c.config.name);
  const mine = report?.epoch === epoch ? report : null;
  const role =
    owner === c.config.servers[0]
      ? 'is the preferred server'
      : `stands in for ${String(c.config.servers[0])}`;
  const booted = bootedSinceRenewal(c.scene, owner) ? ', but has not renewed since its host booted' : '';
  const silence = suspect ? `, but has not been heard for ${seconds(silentMs)}` : booted;
  return {
    phase:
      mine === null
        ? 'starting'
        : mine.state === 'active'
          ? 'active'
          : mine.state === 'releasing'
            ? 'releasing'
            : 'starting',
    reason: `${owner} ${role} and holds epoch ${epoch.toString()}${silence}`,
    change: null,
    wakeAt: suspect ? downFrom : Math.min(heard + c.config.rules.suspectMs, downFrom),
    warnings: mine === null || mine.says === '' ? [] : [mine.says],
  };
}
