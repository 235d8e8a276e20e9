/**
 * What a target does before anything else: everything that was committed is applied and recorded, from where the marker
 * and the catalog say that it stopped.
 *
 * B1  What others changed is kept aside before a batch that was not begun replaces it (overwriting.ts), whatever the bound of
 *     the store is: nobody can make room there before the start. Where the disk has none, it can't start.
 * B2  What was applied last was durable in the log before. Where it is not there any more, its file was begun anew (L2 of log.ts):
 *     all that can still be read in it was applied and synced, and what came after it may have gone over the same files.
 */

import { Applying } from './applying.ts';
import type { Ground } from './applying.ts';
import type { Log } from './log.ts';
import { mend } from './mend.ts';
import type { Overwriting, OverwritingPorts } from './overwriting.ts';
import type { Records } from './records.ts';
import { decodeBatch, nameOf } from './redo.ts';

export interface Replayed {
  readonly nextNumber: number;
  /** Batches of which something was still to do. */
  readonly applied: number;
  /** Why the last ones were passed over; empty when none were. */
  readonly unfit: string;
  readonly misfits: readonly Buffer[];
  /** B1. */
  readonly spared: readonly Buffer[];
  /** The catalog is not what the source said (agreement.ts). */
  readonly differs: boolean;
}

export interface ReplayParts {
  readonly log: Log;
  readonly ground: Ground;
  readonly records: Records;
  readonly overwriting: Overwriting;
}

/** B1; the message has the reason. It may pass. */
export class NoRoom extends Error {}

const ports: OverwritingPorts = {
  closed: () => false,
  waiting: (reason) => {
    if (reason !== '') throw new NoRoom(reason);
  },
  beyond: true,
};

/** `powerLost`: contents since the last checkpoint may be missing. Throws what the disk says; can be repeated. */
export async function replay(parts: ReplayParts, powerLost: boolean): Promise<Replayed> {
  const { log, ground, records, overwriting } = parts;
  const { staging } = ground;
  const found = log.contents.batches;
  const isOver = (found.at(-1)?.number ?? 0) < records.applied; // B2
  const batches = (isOver ? [] : found).map(({ number, payload }) => ({
    number,
    batch: decodeBatch(payload),
  }));
  const lastNumber = batches.at(-1)?.number ?? 0;
  const touched = new Map<string, Buffer>();
  const misfits: Buffer[] = [];
  const spared: Buffer[] = [];
  let applied = 0;
  let unfit = '';
  let differs = false;
  for (const { number, batch } of batches) {
    const marker = staging.marker ?? { number: records.applied, step: 0 };
    if (number <= marker.number && number <= records.applied) continue;
    const wrong = number > records.applied && number > marker.number ? records.unfit(batch) : null;
    if (wrong !== null && marker.step === 0) {
      unfit = wrong;
      records.skip(lastNumber);
      staging.mark({ number: lastNumber, step: 0 });
      break;
    }
    applied += 1;
    const names = batch.operations.map(nameOf);
    for (const name of names) touched.set(name.toString('latin1'), name);
    const isRecorded = number <= records.applied;
    const isBegun = number === marker.number + 1 && (marker.step > 0 || marker.begun === true);
    if (number > marker.number && !isRecorded && !isBegun) {
      const before = await overwriting.before(number, batch, ports); // B1
      spared.push(...(before?.paths ?? []));
    }
    if (number > marker.number) {
      const applying = new Applying(ground, number, batch, number === marker.number + 1 ? marker.step : 0);
      await applying.run();
      misfits.push(...applying.misfits);
    }
    differs = (await records.record(number, batch)) === 'differs' || differs;
    if (number > marker.number) staging.mark({ number, step: 0 });
    // Done once more it has other numbers and times, and those would be somebody else's for the next batch.
    if (isRecorded) records.refresh(names);
    ground.failPoint('recover:applied');
  }
  if (powerLost && batches.length > 0) {
    const mended = await mend(
      ground,
      batches.map(({ batch }) => batch),
    );
    for (const name of mended) touched.set(name.toString('latin1'), name);
    for (const { batch } of batches) {
      for (const operation of batch.operations) {
        const name = nameOf(operation);
        touched.set(name.toString('latin1'), name);
      }
    }
  }
  records.refresh(touched.values());
  const last = Math.max(lastNumber, log.contents.synced, records.applied, staging.marker?.number ?? 0);
  if (found.length > 0) await settle(log, ground, records, last);
  log.forget();
  staging.sweep(new Set());
  return { nextNumber: last + 1, applied, unfit, misfits, spared, differs };
}

async function settle(log: Log, ground: Ground, records: Records, upTo: number): Promise<void> {
  await ground.staging.syncTree();
  await records.flush();
  ground.failPoint('recover:synced');
  log.free(upTo);
  log.restart();
}
