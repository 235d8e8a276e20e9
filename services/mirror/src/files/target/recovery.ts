/**
 * What a target does before anything else: everything that was committed is applied and recorded, from where the marker
 * and the catalog say that it stopped.
 */

import { Applying } from './applying.ts';
import type { Ground } from './applying.ts';
import type { Log } from './log.ts';
import { mend } from './mend.ts';
import type { Records } from './records.ts';
import { decodeBatch, nameOf } from './redo.ts';

export interface Replayed {
  readonly nextNumber: number;
  /** Batches of which something was still to do. */
  readonly applied: number;
  /** Why the last ones were passed over; empty when none were. */
  readonly unfit: string;
  readonly misfits: readonly Buffer[];
  /** The catalog is not what the source said (agreement.ts). */
  readonly differs: boolean;
}

/** `powerLost`: contents since the last checkpoint may be missing. Throws what the disk says; can be repeated. */
export async function replay(
  log: Log,
  ground: Ground,
  records: Records,
  powerLost: boolean,
): Promise<Replayed> {
  const { staging } = ground;
  const batches = log.contents.batches.map(({ number, payload }) => ({
    number,
    batch: decodeBatch(payload),
  }));
  const lastNumber = batches.at(-1)?.number ?? 0;
  const touched = new Map<string, Buffer>();
  const misfits: Buffer[] = [];
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
    for (const operation of batch.operations) {
      const name = nameOf(operation);
      touched.set(name.toString('latin1'), name);
    }
    if (number > marker.number) {
      const applying = new Applying(ground, number, batch, number === marker.number + 1 ? marker.step : 0);
      await applying.run();
      misfits.push(...applying.misfits);
    }
    differs = (await records.record(number, batch)) === 'differs' || differs;
    if (number > marker.number) staging.mark({ number, step: 0 });
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
  if (batches.length > 0) await settle(log, ground, records, last);
  log.forget();
  staging.sweep(new Set());
  return { nextNumber: last + 1, applied, unfit, misfits, differs };
}

async function settle(log: Log, ground: Ground, records: Records, upTo: number): Promise<void> {
  await ground.staging.syncTree();
  await records.flush();
  ground.failPoint('recover:synced');
  log.free(upTo);
  log.restart();
}
