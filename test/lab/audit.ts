/**
 * What must hold after every story, whatever happened in it (docs/guarantees.md). Each function tells what is wrong, one
 * sentence each; nothing when all is well.
 *
 *   I1  no address of a group is ever on two hosts, as their kernels tell
 *   I2  epochs rise: those that a client sees never fall, two servers never answer in turn, and an epoch has one owner
 *   I10 every change has a recorded reason
 */
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Host } from '@holdfast/lab';
import type { Answer } from './client.ts';
import { shared, type Both, type KernelWatch } from './kernel.ts';

const round = (ms: number): string => `${Math.round(ms)} ms`;

/** What two looks leave open, at most, with some lateness of a busy host. */
const betweenLooksMs = 25;
/** Journals tell of a move this close to when the kernels were looked at. */
const moveMs = 500;

/**
 * I1. Where no looks show both, and less than between two looks is left open, the agents' journals have to tell: the one took the
 * address off, and only then did the other one add it.
 */
export function sharedAddresses(
  kernels: readonly KernelWatch[],
  addresses: readonly string[],
  afterMs: number,
  entries: readonly Entry[],
): string[] {
  const pairs = kernels.flatMap((one, index) =>
    kernels.slice(index + 1).map((other) => [one, other] as const),
  );
  return pairs.flatMap(([one, other]) =>
    addresses.flatMap((address) =>
      shared(one, other, address, afterMs)
        .filter((both) => !handedOver(entries, address, [one.host.name, other.host.name], both))
        .map(
          ({ fromMs, toMs }) =>
            `${address} may have been on ${one.host.name} and ${other.host.name} for ${round(toMs - fromMs)}`,
        ),
    ),
  );
}

function handedOver(
  entries: readonly Entry[],
  address: string,
  hosts: readonly string[],
  { fromMs, toMs, seen }: Both,
): boolean {
  if (seen || toMs - fromMs > betweenLooksMs) return false;
  const near = entries
    .filter(
      (entry) =>
        hosts.includes(entry.host) &&
        entry.address?.split('/')[0] === address &&
        ['address-held', 'address-dropped'].includes(entry.kind) &&
        Math.abs(entry.bootMs - fromMs) < moveMs,
    )
    .map(({ host, kind, bootMs, setAt }) => {
      const takes = kind === 'address-held';
      return { host, takes, atMs: takes ? (setAt ?? 0) : bootMs };
    })
    .sort((left, right) => left.atMs - right.atMs);
  // Several moves may lie so close together: none may begin before the one before it ended.
  let holder = '';
  let dropper = '';
  let moves = 0;
  for (const { host, takes } of near) {
    if (!takes) {
      dropper = host;
      if (holder === host) holder = '';
      continue;
    }
    if (holder !== '' && holder !== host) return false;
    if (holder === '' && dropper !== '' && dropper !== host) moves += 1;
    holder = host;
  }
  return moves > 0;
}

/**
 * I2, as a client sees it. A question counts from when it was sent: an answer that was on its way while another was
 * given says nothing about the order.
 */
export function answersInTurn(answers: readonly Answer[]): string[] {
  const found: string[] = [];
  const targets = new Set(answers.map(({ target }) => target));
  for (const target of targets) {
    const all = answers.filter((answer) => answer.target === target);
    found.push(...fallingEpochs(target, all), ...twoServersOfAnEpoch(target, all));
  }
  return found;
}

function fallingEpochs(target: string, answers: readonly Answer[]): string[] {
  let highest: Answer | undefined;
  for (const answer of answers) {
    if (answer.epoch === null) continue;
    if (highest?.epoch != null && answer.epoch < highest.epoch && answer.sentMs > highest.answeredMs)
      return [
        `${target}: ${answer.server} answered with epoch ${answer.epoch} ${round(answer.sentMs - highest.answeredMs)} ` +
          `after ${highest.server} had answered with epoch ${highest.epoch}`,
      ];
    if (highest?.epoch == null || answer.epoch >= highest.epoch) highest = answer;
  }
  return [];
}

function twoServersOfAnEpoch(target: string, answers: readonly Answer[]): string[] {
  const servers = new Map<bigint, string>();
  for (const { epoch, server } of answers) {
    if (epoch === null) continue;
    const known = servers.get(epoch) ?? server;
    if (known !== server) return [`${target}: ${known} and ${server} both answered with epoch ${epoch}`];
    servers.set(epoch, server);
  }
  return [];
}

/** A story in which the group moves at most `moves` times: nobody answers again who had been followed. */
export function turns(answers: readonly Answer[]): string[] {
  return answers.flatMap(({ server }, index) => (answers[index - 1]?.server === server ? [] : [server]));
}

interface Entry {
  readonly host: string;
  readonly bootMs: number;
  readonly kind: string;
  readonly group?: string;
  readonly epoch?: string | null;
  readonly to?: string;
  readonly owner?: string;
  readonly reason?: string | null;
  readonly address?: string;
  readonly setAt?: number;
}

/** The journals of one process on all hosts, merged by time. A line that a power cut halved is left out. */
export function mergedJournals(hosts: readonly Host[], process: string): Entry[] {
  const entries = hosts.flatMap((host) => {
    const file = join(host.dir, 'journal', `${process}.jsonl`);
    if (!existsSync(file)) return [];
    return readFileSync(file, 'utf8')
      .split('\n')
      .flatMap((line) => parsed(line).map((entry): Entry => ({ ...entry, host: host.name })));
  });
  return entries.sort((one, other) => one.bootMs - other.bootMs);
}

function parsed(line: string): Entry[] {
  try {
    return line === '' ? [] : [JSON.parse(line) as Entry];
  } catch {
    return []; // halved by a power cut
  }
}

const acting = new Set(['acquiring', 'active']);

/** I2, as the servers did it. */
export function actedTwice(entries: readonly Entry[]): string[] {
  const actors = new Map<string, string>();
  const highest = new Map<string, bigint>();
  return entries.flatMap(({ kind, group, epoch, to, host, reason }) => {
    if (kind !== 'holding' || group === undefined || epoch == null || to === undefined || !acting.has(to))
      return [];
    const found: string[] = [];
    const key = `${group} at epoch ${epoch}`;
    const actor = actors.get(key) ?? host;
    actors.set(key, actor);
    if (actor !== host) found.push(`${actor} and ${host} both acted for ${key} (${reason ?? ''})`);
    const before = highest.get(group) ?? 0n;
    if (BigInt(epoch) < before) found.push(`${host} acted for ${key} after epoch ${before}`);
    highest.set(group, BigInt(epoch) > before ? BigInt(epoch) : before);
    return found;
  });
}

export interface ListedEvent {
  readonly id: string;
  readonly time: string;
  readonly group: string | null;
  readonly server: string | null;
  readonly kind: string;
  readonly reason: string;
}

/** I10. */
export const withoutReason = (events: readonly ListedEvent[]): string[] =>
  events
    .filter(({ reason }) => reason.trim() === '')
    .map(({ id, kind }) => `event ${id} (${kind}) has no reason`);
