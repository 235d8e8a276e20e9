/**
 * The guard's protocol: newline-delimited JSON over a Unix socket (0600), both ways, UTF-8.
 *
 * A line has at most 8 MiB: the orders for all groups that a configuration can have. One that is longer or is no JSON
 * object of a known type is counted and dropped; a known request with a wrong field is refused with a reason, and of
 * several groups only the wrong one. Nothing a client sends can stop the guard.
 *
 * All times are boot-time milliseconds of this host (see boot-clock.ts). Epochs are decimal strings, for they have
 * 64 bits. `id` (a string or an integer) comes back in the reply; every request has exactly one reply.
 *
 *   request                                     reply
 *   {type:'arm', id, watchdog, groups:[...]}    armed: from now on exactly these groups are armed, with these
 *                                               deadlines; a group that is absent is disarmed.
 *                                               refused, `groups` not empty: these groups were refused (see below) and
 *                                               stay as they were; all others of the request were armed.
 *                                               refused, `groups` empty: the request is wrong, nothing changed.
 *   {type:'fence', id, group}                   accepted: its fence has begun, or was under way. Fencing a group whose
 *                                               last fence failed tries again. refused: the group is not armed
 *   {type:'state', id}                          state
 *   {type:'disarm', id}                         disarmed. A fence under way goes on
 *   {type:'quit', id}                           quitting, and the guard exits; refused while anything is armed
 *
 * A group is refused when a field of it is wrong, when its epoch is lower than one seen before, when it was already fenced
 * at that epoch (armed again only at a higher one), or while its fence is under way.
 *
 * Events go to all connected clients and have no id: `fencing` when a fence begins, `fenced` when it ended. When a
 * fence overruns doneByMs there is a `fenced` with ok false at that moment, and another when its commands ended.
 * `watchdog` tells that the device could not be opened or written.
 *
 * The guard never sees who owns what: it is told deadlines, and keeps them.
 */

/** The longest line in either direction, in bytes. */
export const lineBytesMax = 8 * 1024 * 1024;

/**
 * Limits of one request; a line is bounded anyway, these give better reasons. Above what a configuration may hold (core,
 * config/limits.ts), with what env(1) is told before a command.
 */
const limits = { groups: 1_024, commands: 128, args: 256, nameLength: 128 } as const;

export type RequestId = string | number;
export type Argv = readonly string[];

export interface StopCommand {
  readonly argv: Argv;
  readonly timeoutMs: number;
}

/** What a client says about one group. */
export interface GroupMessage {
  readonly group: string;
  readonly epoch: string;
  readonly fenceAtMs: number;
  readonly doneByMs: number;
  /** Run first, all at once. Each must succeed when the address is already gone. */
  readonly drops: readonly Argv[];
  /** Run after the drops, one after the other: the reverse of the order of starting. */
  readonly stops: readonly StopCommand[];
}

export type RequestMessage =
  | {
      readonly type: 'arm';
      readonly id: RequestId;
      readonly watchdog: string | null;
      readonly groups: readonly GroupMessage[];
    }
  | { readonly type: 'fence'; readonly id: RequestId; readonly group: string }
  | { readonly type: 'state' | 'disarm' | 'quit'; readonly id: RequestId };

export interface Outcome {
  readonly group: string;
  readonly epoch: string;
  readonly ok: boolean;
  /** When the fence ended. */
  readonly atMs: number;
  readonly failures: readonly string[];
}

export interface WatchdogMessage {
  readonly kind: 'off' | 'on' | 'broken' | 'triggered';
  readonly device: string | null;
  readonly says: string | null;
}

export interface StateMessage {
  readonly type: 'state';
  readonly id: RequestId;
  readonly nowMs: number;
  readonly pid: number;
  readonly armed: readonly {
    readonly group: string;
    readonly epoch: string;
    readonly fenceAtMs: number;
    readonly doneByMs: number;
  }[];
  readonly fencing: readonly { readonly group: string; readonly epoch: string; readonly doneByMs: number }[];
  /** The last fences since the guard started, oldest first. */
  readonly fenced: readonly Outcome[];
  readonly watchdog: WatchdogMessage;
  /** Lines dropped since the guard started. */
  readonly garbage: number;
}

export type ReplyMessage =
  | { readonly type: 'armed' | 'accepted' | 'disarmed' | 'quitting'; readonly id: RequestId }
  | {
      readonly type: 'refused';
      readonly id: RequestId;
      readonly reason: string;
      readonly groups: readonly string[];
    }
  | StateMessage;

export type EventMessage =
  | {
      readonly type: 'fencing';
      readonly group: string;
      readonly epoch: string;
      readonly atMs: number;
      readonly reason: string;
    }
  | ({ readonly type: 'fenced' } & Outcome)
  | { readonly type: 'watchdog'; readonly atMs: number; readonly device: string; readonly says: string };

/** A group as the guard keeps it: parsed once, here. */
export interface FenceOrder {
  readonly group: string;
  readonly epoch: bigint;
  readonly fenceAtMs: number;
  readonly doneByMs: number;
  readonly drops: readonly Argv[];
  readonly stops: readonly StopCommand[];
}

export interface WrongGroup {
  readonly group: string;
  readonly reason: string;
}

export type Request =
  | {
      readonly kind: 'arm';
      readonly id: RequestId;
      readonly watchdog: string | null;
      readonly orders: readonly FenceOrder[];
      /** Groups of which a field is wrong, and what. */
      readonly wrong: readonly WrongGroup[];
    }
  | { readonly kind: 'fence'; readonly id: RequestId; readonly group: string }
  | { readonly kind: 'state' | 'disarm' | 'quit'; readonly id: RequestId };

export type Parsed =
  | { readonly kind: 'request'; readonly request: Request }
  /** Something with an id that can be told what is wrong. */
  | { readonly kind: 'wrong'; readonly id: RequestId; readonly reason: string }
  | { readonly kind: 'garbage' };

class Wrong extends Error {}

/** Parses one line (without its newline). Never throws for what a client sent. */
export function parseRequest(line: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    return { kind: 'garbage' };
  }
  if (!isRecord(value) || !isId(value['id'])) return { kind: 'garbage' };
  const id = value['id'];
  try {
    return { kind: 'request', request: request(id, value) };
  } catch (error) {
    if (error instanceof Wrong) return { kind: 'wrong', id, reason: error.message };
    throw error;
  }
}

function request(id: RequestId, value: Record<string, unknown>): Request {
  const type = value['type'];
  switch (type) {
    case 'arm': {
      const watchdog = value['watchdog'] ?? null;
      return {
        kind: 'arm',
        id,
        watchdog: watchdog === null ? null : text(watchdog, 'watchdog', 4096),
        ...ordersOf(list(value['groups'], 'groups', limits.groups)),
      };
    }
    case 'fence':
      return { kind: 'fence', id, group: text(value['group'], 'group') };
    case 'state':
    case 'disarm':
    case 'quit':
      return { kind: type, id };
    default:
      throw new Wrong('type is not one of arm, fence, state, disarm, quit');
  }
}

/** A group that can be named is wrong by itself: the deadlines of the others go on. */
function ordersOf(entries: readonly unknown[]): Pick<Request & { kind: 'arm' }, 'orders' | 'wrong'> {
  const orders: FenceOrder[] = [];
  const wrong: WrongGroup[] = [];
  const names = new Set<string>();
  for (const entry of entries) {
    if (!isRecord(entry)) throw new Wrong('a group is not an object');
    const group = text(entry['group'], 'group');
    if (names.has(group)) throw new Wrong(`group ${group} is there twice`);
    names.add(group);
    try {
      orders.push(order(group, entry));
    } catch (error) {
      if (!(error instanceof Wrong)) throw error;
      wrong.push({ group, reason: error.message });
    }
  }
  return { orders, wrong };
}

function order(group: string, value: Record<string, unknown>): FenceOrder {
  const epoch = text(value['epoch'], `epoch of ${group}`);
  if (!/^\d{1,20}$/.test(epoch)) throw new Wrong(`epoch of ${group} is not a decimal number`);
  const fenceAtMs = number(value['fenceAtMs'], `fenceAtMs of ${group}`);
  const doneByMs = number(value['doneByMs'], `doneByMs of ${group}`);
  if (doneByMs < fenceAtMs) throw new Wrong(`doneByMs of ${group} is before its fenceAtMs`);
  return {
    group,
    epoch: BigInt(epoch),
    fenceAtMs,
    doneByMs,
    drops: list(value['drops'], `drops of ${group}`, limits.commands).map((drop) => argv(drop, group)),
    stops: list(value['stops'], `stops of ${group}`, limits.commands).map((stop) => stopCommand(stop, group)),
  };
}

function stopCommand(value: unknown, group: string): StopCommand {
  if (!isRecord(value)) throw new Wrong(`a stop of ${group} is not an object`);
  const timeoutMs = number(value['timeoutMs'], `timeoutMs of a stop of ${group}`);
  if (timeoutMs <= 0) throw new Wrong(`timeoutMs of a stop of ${group} is not positive`);
  return { argv: argv(value['argv'], group), timeoutMs };
}

function argv(value: unknown, group: string): Argv {
  const parts = list(value, `a command of ${group}`, limits.args).map((part) => {
    if (typeof part !== 'string' || part.includes('\0')) {
      throw new Wrong(`a command of ${group} has an argument that is no string`);
    }
    return part;
  });
  if (parts[0] === undefined || parts[0] === '') throw new Wrong(`a command of ${group} is empty`);
  return parts;
}

function list(value: unknown, what: string, most: number): readonly unknown[] {
  if (!Array.isArray(value)) throw new Wrong(`${what} is not a list`);
  if (value.length > most) throw new Wrong(`${what} has more than ${most} entries`);
  return value as readonly unknown[];
}

function text(value: unknown, what: string, most: number = limits.nameLength): string {
  if (typeof value !== 'string' || value === '' || value.length > most) {
    throw new Wrong(`${what} is not a string of 1 to ${most} characters`);
  }
  return value;
}

function number(value: unknown, what: string): number {
  if (typeof value !== 'number' || !Number.isFinite(value) || value < 0) {
    throw new Wrong(`${what} is not a number of milliseconds`);
  }
  return value;
}

function isId(value: unknown): value is RequestId {
  return typeof value === 'string' ? value.length <= limits.nameLength : Number.isSafeInteger(value);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
