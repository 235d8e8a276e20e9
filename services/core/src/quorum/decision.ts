/**
 * A decision as it is kept with its event: everything that it was made from, so that this version or another can make it
 * again. Times are those of the leader's own clock, as it judged.
 *
 *   K1  made again from what was kept, by the same version, it is the same decision: the simulator checks each of them
 *   K2  what it does not look at is left out: a decision is some kilobytes
 */

import * as z from 'zod';
import type { Parsed } from '../codec.ts';
import type { Case, Judgement } from './case.ts';
import { carryOut } from './command.ts';
import type { GroupCommand } from './events.ts';
import { judge } from './judge.ts';
import type { Held, StoreView } from './view.ts';

export interface Decision {
  readonly made: Case;
  /** Null: nobody commanded it. */
  readonly commanded: { readonly command: GroupCommand; readonly by: string } | null;
}

/** Of what is kept. A version that looks at more than is there must refuse it, not judge by less. */
const format = 3;
/** All that are kept come in one answer of the store when the oldest are dropped. One of hundreds of members is not kept. */
const textMax = 64 * 1_024;

/** Null: it is too large to be kept. */
export function encodeDecision({ made, commanded }: Decision): string | null {
  const view = viewed(made.scene.view, made.config.name);
  const kept = { ...made, scene: { ...made.scene, view } };
  const text = JSON.stringify({ format, made: packed(kept), commanded: packed(commanded) });
  return text.length > textMax ? null : text;
}

const document = z.object({ format: z.literal(format), made: z.looseObject({}), commanded: z.unknown() });

/** From the cluster's own store: what the leader wrote there is not doubted. */
export function parseDecision(text: string): Parsed<Decision> {
  let raw: unknown;
  try {
    raw = JSON.parse(text);
  } catch {
    return { kind: 'garbage', says: 'it is not JSON' };
  }
  const { success, data } = document.safeParse(raw);
  if (!success) return { kind: 'garbage', says: 'it was kept by a version that keeps decisions otherwise' };
  const made = unpacked(data.made) as Case;
  return { kind: 'ok', value: { made, commanded: unpacked(data.commanded) as Decision['commanded'] } };
}

/** Made again; as a judgement, or as the refusal of what was commanded. */
export function decideAgain({ made, commanded }: Decision): Judgement | { readonly refused: string } {
  if (commanded === null) return judge(made);
  const done = carryOut(made, commanded.command, commanded.by);
  if (done.kind === 'do') return done.judgement;
  return { refused: 'says' in done.result ? done.result.says : done.result.kind };
}

/** K2. */
function viewed(view: StoreView, group: string): StoreView {
  const own = view.groups.get(group);
  const config = view.config?.value.groups.get(group);
  return {
    ...view,
    config:
      view.config === null
        ? null
        : bare(view.config, {
            ...view.config.value,
            groups: new Map(config === undefined ? [] : [[group, config]]),
          }),
    renewals: new Map([...view.renewals].map(([id, held]) => [id, bare(held)])),
    members: new Map([...view.members].map(([id, held]) => [id, bare(held)])),
    groups: new Map(own === undefined ? [] : [[group, bare(own)]]),
    garbage: new Map(),
  };
}

const bare = <T>(held: Held<T>, value = held.value): Held<T> => ({ ...held, value, text: '' });

/** JSON has no maps, no large integers and no infinity. */
function packed(value: unknown): unknown {
  if (typeof value === 'bigint') return { $int: value.toString() };
  if (typeof value === 'number' && !Number.isFinite(value)) return { $num: String(value) };
  if (value instanceof Map) return { $map: [...value].map((entry) => entry.map(packed)) };
  if (Array.isArray(value)) return value.map(packed);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, packed(field)]));
}

function unpacked(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(unpacked);
  if (typeof value !== 'object' || value === null) return value;
  if ('$int' in value) return BigInt(String(value.$int));
  if ('$num' in value) return Number(value.$num);
  if ('$map' in value && Array.isArray(value.$map)) {
    return new Map(value.$map.map((entry) => unpacked(entry) as [unknown, unknown]));
  }
  return Object.fromEntries(Object.entries(value).map(([name, field]) => [name, unpacked(field)]));
}
