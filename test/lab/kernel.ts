/**
 * Which addresses a host's kernel holds, sampled every few milliseconds, whatever Holdfast says about it.
 *
 * K1. An address counts as held from the last look without it to the first look without it again, so that "never on
 *     both" is no artefact of sampling.
 * K2. A watch ends with its host's power; then the host holds nothing. One that is frozen with its host is followed by a
 *     fresh one, which counts from its own first look.
 */
import { startInstrument, type Instrument } from './instrument.ts';
import type { Host } from '@holdfast/lab';
import { monotonicMs, until } from './until.ts';

interface Look {
  readonly beforeMs: number;
  readonly atMs: number;
  readonly addresses: readonly string[];
}

/** From the last look before it to the first one after it: K1. */
export interface Holding {
  readonly fromMs: number;
  /** Infinity while it goes on. */
  readonly toMs: number;
  /** Of its own looks: the first, and the last before one without it. */
  readonly seenFromMs: number;
  readonly seenToMs: number;
}

/** A time in which two may have held one address. `seen`: looks at both show that they did; otherwise it lies between looks. */
export interface Both {
  readonly fromMs: number;
  readonly toMs: number;
  readonly seen: boolean;
}

export interface KernelWatch {
  readonly host: Host;
  pid(): number | undefined;
  /** Idempotent; with `afresh` a new one takes over, because the old one is frozen. Resolves when it has looked. */
  start(options?: { readonly afresh?: boolean }): Promise<void>;
  holdsNow(address: string): boolean;
  addressesNow(): readonly string[];
  holdings(address: string): Holding[];
  stop(): void;
}

/** Less than a planned move takes between the one server's drop and the other one's addition. */
const sampleMs = 5;
const startMs = 10_000;

export function watchKernel(host: Host): KernelWatch {
  let instrument: Instrument | undefined;
  let looks: Look[] = [];
  const latest = (): readonly string[] => looks.at(-1)?.addresses ?? [];
  return {
    host,
    pid: () => instrument?.pid(),
    start: async ({ afresh = false } = {}) => {
      if (!afresh && instrument?.isRunning() === true) return;
      instrument?.stop();
      if (instrument !== undefined) looks.push(nothing());
      const fresh: Look[] = [...looks];
      const before = fresh.length;
      looks = fresh;
      instrument = startInstrument(
        host,
        'kernel-watch.js',
        [host.name, `${sampleMs}`],
        (line) => fresh.push(line as Look),
        () => fresh.push(nothing()), // K2
      );
      await until(`the kernel of ${host.name} is looked at`, startMs, () => fresh.length > before);
    },
    holdsNow: (address) => instrument?.isRunning() === true && latest().includes(address),
    addressesNow: latest,
    holdings: (address) => holdings(looks, address),
    stop: () => instrument?.stop(),
  };
}

const nothing = (): Look => ({ beforeMs: monotonicMs(), atMs: monotonicMs(), addresses: [] });

function holdings(looks: readonly Look[], address: string): Holding[] {
  const found: Holding[] = [];
  let open: Look | null = null;
  const end = (toMs: number, seenToMs: number): void => {
    if (open !== null) found.push({ fromMs: open.beforeMs, toMs, seenFromMs: open.atMs, seenToMs });
    open = null;
  };
  for (const look of looks)
    if (!look.addresses.includes(address)) end(look.atMs, look.beforeMs);
    else open ??= look;
  end(Infinity, Infinity);
  return found;
}

/** When both may have held the address, after a moment: nothing, if all is well. */
export function shared(one: KernelWatch, other: KernelWatch, address: string, afterMs: number): Both[] {
  return one.holdings(address).flatMap((left) =>
    other.holdings(address).flatMap((right) => {
      const fromMs = Math.max(left.fromMs, right.fromMs, afterMs);
      const toMs = Math.min(left.toMs, right.toMs, monotonicMs());
      const seenFromMs = Math.max(left.seenFromMs, right.seenFromMs, afterMs);
      const seen = seenFromMs < Math.min(left.seenToMs, right.seenToMs);
      return fromMs < toMs ? [{ fromMs, toMs, seen }] : [];
    }),
  );
}
