/** What operators command: one operation per group, checked against the same rules as everything automatic. */

import { stepName, releaseSteps, takeoverSteps } from '../step.ts';
import type { MemberId } from '../names.ts';
import type { Ownership } from '../records.ts';
import { notAsked } from './asked.ts';
import { assess, blockers, candidates, lossClause } from './candidates.ts';
import { stretchedWaitMsFor, saysFenced, seconds, serverDownAt } from './scene.ts';
import type { Case, Judgement } from './case.ts';
import { begin, give, releaseTo } from './changes.ts';
import type { Commanded } from './commanded.ts';
import { notInStep } from './copies.ts';
import { deny } from './denial.ts';
import { pausedBecause } from './judge.ts';
import { refusalTold } from './refusal.ts';
import type { GroupCommand } from './events.ts';
import { unreadable } from './unreadable.ts';

const refused = (says: string): Commanded => ({ kind: 'no', result: { kind: 'refused', says } });
const invalid = (says: string): Commanded => ({ kind: 'no', result: { kind: 'invalid', says } });

/** What somebody commands, checked against the same rules as all else. */
export function carryOut(c: Case, wanted: GroupCommand, by: string): Commanded {
  const garbage = unreadable(c);
  if (garbage !== null) return refused(garbage);
  switch (wanted.kind) {
    case 'approve':
    case 'deny':
      return decideApproval(c, wanted.kind === 'approve', by);
    case 'switchover':
    case 'failback':
    case 'failover':
      return command(c, wanted, by);
  }
}

function command(
  c: Case,
  wanted: Exclude<GroupCommand, { kind: 'approve' | 'deny' }>,
  by: string,
): Commanded {
  const busy = c.record?.operation ?? null;
  if (busy !== null && !(wanted.kind === 'failover' && busy.phase === 'awaiting-approval')) {
    return refused(`${busy.id} (${busy.kind}) is under way, begun by ${busy.by}; wait for it to end`);
  }
  const pause = pausedBecause(c);
  if (pause !== null) return refused(`${pause}; nothing is carried out until that ends`);
  const own: Ownership = c.record?.ownership ?? { kind: 'unowned', epoch: 0n, lastOwner: null };
  switch (wanted.kind) {
    case 'switchover':
    case 'failback':
      return plannedMove(c, own, wanted.kind, wanted.to, by);
    case 'failover':
      return forcedMove(c, own, wanted.to, wanted.force, by);
  }
}

function plannedMove(
  c: Case,
  own: Ownership,
  kind: 'switchover' | 'failback',
  wish: MemberId | null,
  by: string,
): Commanded {
  const { config } = c;
  if (own.kind !== 'owned') return refused(`nobody owns ${config.name} now: there is nothing to move`);
  const told = refusalTold(c, own); // F2 (refusal.ts)
  if (told !== null) return refused(`${own.owner} refused just now (${told}); ask again in a moment`);
  const preferred = config.servers[0];
  const others = candidates(c.scene, config, c.record).filter((s) => s.server !== own.owner);
  const to =
    kind === 'failback'
      ? preferred
      : (wish ?? others.find((s) => s.blocker === null)?.server ?? others[0]?.server);
  if (to === undefined) return invalid(`${config.name} has no other server`);
  if (!config.servers.includes(to))
    return invalid(`${to} is not a server of ${config.name}; its servers are ${config.servers.join(', ')}`);
  if (to === own.owner) {
    return invalid(
      kind === 'failback'
        ? `${config.name} is already on ${to}, its preferred server`
        : `${to} already owns ${config.name}`,
    );
  }
  const target = assess(c.scene, config, c.record, to, true);
  if (target.blocker !== null) return refused(`${to} can't take over: ${target.blocker}`);
  const behind = notInStep(c.scene, config, c.record, to);
  if (behind !== null) {
    return refused(
      `${to} can't take over without loss: ${behind}; failover --force moves ${config.name} all the same and records the estimated loss`,
    );
  }
  if (saysFenced(c.scene, own.owner, config.name, own.epoch) !== null)
    return refused(`${own.owner} is fenced; ${config.name} is about to move`);
  const reason =
    kind === 'failback' ? `${by} asked for the failback to ${to}` : `${by} asked for the switchover to ${to}`;
  return {
    kind: 'do',
    judgement: chosen(c, releaseTo(c, own, { to, kind, reason, by }), to, by),
    steps: moveSteps(c, own.owner, to),
  };
}

/** B4 of failback.ts: what a person moved away from the preferred server stays. */
function chosen({ config, wall }: Case, judged: Judgement, to: MemberId, by: string): Judgement {
  const { change } = judged;
  const [preferred] = config.servers;
  if (change === null || preferred === undefined || to === preferred) return judged;
  const before = change.record.failbackWaits;
  // What failed there weighs more, and outlasts the stay with whom somebody chose.
  if (before?.server === preferred && before.chosen === undefined) return judged;
  const why = `${by} moved it to ${to} at ${new Date(wall).toISOString()}`;
  const failbackWaits = { server: preferred, why, chosen: to };
  return { ...judged, change: { ...change, record: { ...change.record, failbackWaits } } };
}

function forcedMove(c: Case, own: Ownership, wish: MemberId | null, force: boolean, by: string): Commanded {
  const { config, scene } = c;
  const owner = own.kind === 'unowned' ? null : own.owner;
  const others = candidates(scene, config, c.record).filter((s) => s.server !== owner);
  const to = wish ?? others.find((s) => s.blocker === null)?.server;
  if (to === undefined) return refused(`nobody can take ${config.name} over: ${blockers(others)}`);
  if (!config.servers.includes(to))
    return invalid(`${to} is not a server of ${config.name}; its servers are ${config.servers.join(', ')}`);
  if (to === owner) return invalid(`${to} already owns ${config.name}`);
  const target = assess(scene, config, c.record, to);
  if (target.blocker !== null && !(force && target.forceable)) {
    const hint = target.forceable ? '; --force takes over all the same and records the estimated loss' : '';
    return refused(`${to} can't take over: ${target.blocker}${hint}`);
  }
  const behind = owner === null ? null : notInStep(scene, config, c.record, to);
  const although = target.blocker ?? (force ? behind : null);
  const forced = although === null ? '' : `; forced although ${although}`;
  const loss = `${forced}${lossClause([target], to)}`;
  const steps = moveSteps(c, null, to);
  const given = (reason: string, stale: MemberId | null = null): Commanded => {
    const wanted = { ...begin('failover', owner, to, reason), by, forced: force };
    const judgement = give(c, { to, epoch: own.epoch + 1n, wanted, phase: 'failing-over', stale });
    return { kind: 'do', judgement, steps };
  };
  if (own.kind === 'unowned') return given(`${by} gave ${config.name} to ${to}${loss}`);
  if (saysFenced(scene, own.owner, config.name, own.epoch) !== null)
    return given(`${by} gave ${config.name} to ${to}: ${own.owner} is fenced${loss}`);
  const downFrom = serverDownAt(scene, own.owner, config);
  const renewedAt = scene.view.renewals.get(own.owner)?.changedAt ?? -Infinity;
  // Force shortens the outage, never G: until then the owner may still be acting.
  const safeFrom = force ? renewedAt + stretchedWaitMsFor(scene, own.owner, config) : downFrom;
  const unasked = notAsked(scene, config, own.owner, to);
  if (scene.now >= safeFrom && unasked !== null) return refused(unasked);
  if (scene.now >= safeFrom)
    return given(`${by} ordered the failover from ${own.owner} to ${to}${loss}`, own.owner);
  const alive = downFrom - scene.now > config.rules.outageMs - config.rules.suspectMs;
  if (alive && own.kind === 'owned') {
    const told = refusalTold(c, own); // F2 (refusal.ts)
    if (told !== null) return refused(`${own.owner} refused just now (${told}); ask again in a moment`);
    if (behind !== null && !force)
      return refused(`${to} can't take over without loss: ${behind}; --force does it`);
    const reason = `${by} ordered the failover to ${to}; ${own.owner} is alive and releases first${loss}`;
    const release = { to, kind: 'switchover', reason, by, forced: although !== null } as const;
    return {
      kind: 'do',
      judgement: chosen(c, releaseTo(c, own, release), to, by),
      steps: moveSteps(c, own.owner, to),
    };
  }
  const hint = force ? 'it may still be acting until then' : '--force shortens the wait to what safety needs';
  return refused(`${own.owner} is not proven down yet: ${seconds(safeFrom - scene.now)} left; ${hint}`);
}

/** The steps of a move as people see them, for --dry-run. */
export function moveSteps(c: Case, from: MemberId | null, to: MemberId): readonly string[] {
  const release = from === null ? [] : releaseSteps(c.config, to).map((s) => `${from}: ${stepName(s)}`);
  return [...release, ...takeoverSteps(c.config).map((s) => `${to}: ${stepName(s)}`)];
}

function decideApproval(c: Case, approve: boolean, by: string): Commanded {
  const op = c.record?.operation ?? null;
  const own = c.record?.ownership;
  if (op === null || own === undefined || op.phase !== 'awaiting-approval')
    return invalid('it does not wait for approval');
  if (!approve) return { kind: 'do', judgement: deny(c, own, by), steps: [] };
  const pause = pausedBecause(c);
  if (pause !== null) return refused(`${pause}; nothing is carried out until that ends`);
  if (op.to === null || own.kind !== 'owned') return invalid('there is nobody left to take over');
  const target = assess(c.scene, c.config, c.record, op.to);
  if (target.blocker !== null) return refused(`${op.to} can't take over: ${target.blocker}`);
  const fenced = saysFenced(c.scene, own.owner, c.config.name, own.epoch) !== null;
  const downFrom = serverDownAt(c.scene, own.owner, c.config);
  if (!fenced && c.scene.now < downFrom) return refused(`${own.owner} is not down any more`);
  const unasked = fenced ? null : notAsked(c.scene, c.config, own.owner, op.to);
  if (unasked !== null) return refused(unasked);
  const reason = `${op.reason}; approved by ${by}`;
  const wanted = { ...begin('failover', own.owner, op.to, reason), by };
  const next = give(c, {
    to: op.to,
    epoch: own.epoch + 1n,
    wanted,
    phase: 'failing-over',
    stale: fenced ? null : own.owner,
    before: null,
  });
  const same = next.change?.record.operation ?? null;
  if (next.change === null || same === null) return invalid('it does not wait for approval');
  // It stays the operation that was asked about.
  const record = { ...next.change.record, operation: { ...same, id: op.id, startedAt: op.startedAt } };
  return {
    kind: 'do',
    judgement: { ...next, change: { ...next.change, record } },
    steps: moveSteps(c, null, op.to),
  };
}
