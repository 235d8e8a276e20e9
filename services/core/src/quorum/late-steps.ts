/**
 * The steps of a former owner come with its renewal, and its word that it has let go comes earlier, by heartbeat. A quick
 * successor may be active before they are here: then the operation is not over yet, but for a moment only.
 */

import type { BootMs } from '../names.ts';
import type { Operation, Ownership, StepRecord } from '../records.ts';
import type { Case } from './case.ts';
import { heardAt, reportFor } from './scene.ts';

type Owned = Extract<Ownership, { kind: 'owned' }>;

/** An agent renews as soon as it has let go; whoever does not within this is not waited for. */
const lateMs = 1_000;

/** What the operation does not list yet. */
export function lateSteps(c: Case, own: Owned, op: Operation): readonly StepRecord[] {
  if (op.from === null || hasStepsOf(op, op.from)) return [];
  const report = reportFor(c.scene, op.from, c.config.name);
  return report?.state === 'fenced' && report.epoch === own.epoch - 1n ? report.steps : [];
}

/** Until when the steps of a planned move's former owner are waited for; null: they are here, or will not come. */
export function stepsAwaitedUntil(c: Case, own: Owned, op: Operation): BootMs | null {
  const { scene, config } = c;
  const { from } = op;
  const planned = op.kind === 'switchover' || op.kind === 'failback';
  if (!planned || from === null || from === own.owner || hasStepsOf(op, from)) return null;
  // Whatever it says of this epoch, or of a later one, it has said what there was to say.
  const report = reportFor(scene, from, config.name);
  if (report === null || report.epoch !== own.epoch - 1n) return null;
  if (report.state === 'fenced' || report.state === 'failed') return null;
  if (scene.now - heardAt(scene, from) >= config.rules.suspectMs) return null;
  const since = scene.view.groups.get(config.name)?.changedAt ?? -Infinity;
  return scene.now < since + lateMs ? since + lateMs : null;
}

const hasStepsOf = (op: Operation, server: string): boolean => op.steps.some((s) => s.server === server);
