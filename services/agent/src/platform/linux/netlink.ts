/**
 * Questions to the kernel's routing tables, over one netlink socket. Sources: netlink(7), rtnetlink(7), RFC 3549.
 *
 * The kernel answers within the call that asks: a change is done, or refused, when `request` returns, and what is listed
 * is there to be read. So nothing here waits, and the order of changes is that of the calls.
 *
 * N1. An answer counts only with the number of its question; what an earlier one left behind is thrown away.
 * N2. A list that changed while it was read is read again, a few times.
 * N3. After trouble with the socket it is closed, and the next question opens another.
 */
import {
  errno,
  errnoName,
  hostOrder16,
  hostOrder32,
  libc,
  readHost16,
  readHost32,
  SOCK_CLOEXEC,
} from './libc.ts';

export const REQUEST = { newLink: 16, getLink: 18, newAddress: 20, dropAddress: 21, getAddress: 22 } as const;
export const NEIGHBOUR = { set: 28, drop: 29, get: 30 } as const;
export const FLAG = { acknowledge: 0x4, replace: 0x100, list: 0x300, create: 0x400 } as const;

const AF_NETLINK = 16;
const SOCK_RAW = 3;
const SOL_NETLINK = 270;
const NETLINK_EXT_ACK = 11;
const MSG_DONTWAIT = 0x40;
const MSG_TRUNC = 0x20;
const NLM_F_REQUEST = 0x1;
const NLM_F_DUMP_INTR = 0x10;
const NLM_F_CAPPED = 0x100;
const NLM_F_ACK_TLVS = 0x200;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLMSGERR_ATTR_MSG = 1;
const HEADER = 16;
const BUFFER_BYTES = 64 * 1024;
const LIST_TRIES = 3;

export type NetlinkAnswer =
  | { readonly kind: 'done'; readonly messages: readonly Buffer[] }
  /** `code` such as ENODEV. */
  | { readonly kind: 'refused'; readonly code: string; readonly says: string };

export interface Netlink {
  /** `body` is what follows the header; each message of the answer is given without its header. */
  request(type: number, flags: number, body: Buffer): NetlinkAnswer;
}

type Read = NetlinkAnswer | { readonly kind: 'changed-meanwhile' };

/** The socket is opened by the first question, in the network namespace of that moment. */
export function createNetlink(): Netlink {
  const buffer = Buffer.allocUnsafe(BUFFER_BYTES);
  let fd: number | null = null;
  let serial = 0;

  const forget = (): void => {
    if (fd !== null) libc.close(fd);
    fd = null;
  };

  const broken = (call: string): NetlinkAnswer => {
    const code = errnoName(errno());
    forget(); // N3
    return refused(code, `${call} of a netlink socket failed with ${code}`);
  };

  const readAnswer = (socket: number, number: number): Read => {
    const messages: Buffer[] = [];
    let isTorn = false;
    for (;;) {
      const bytes = libc.recv(socket, buffer, buffer.length, MSG_DONTWAIT + MSG_TRUNC);
      if (bytes < 0) return broken('recv');
      if (bytes > buffer.length) {
        forget();
        return refused('EMSGSIZE', `the kernel's answer has ${String(bytes)} bytes, more than can be read`);
      }
      for (const message of split(buffer.subarray(0, bytes))) {
        if (message.serial !== number) continue; // N1
        if ((message.flags & NLM_F_DUMP_INTR) !== 0) isTorn = true;
        if (message.type === NLMSG_ERROR) return ended(message.body, message.flags, messages);
        if (message.type === NLMSG_DONE) return isTorn ? { kind: 'changed-meanwhile' } : done(messages);
        messages.push(Buffer.from(message.body));
        if ((message.flags & MULTI) === 0) return done(messages);
      }
    }
  };

  const once = (type: number, flags: number, body: Buffer): Read => {
    fd ??= open();
    if (fd === null) return broken('socket');
    serial = (serial + 1) >>> 0;
    const message = Buffer.concat([header(type, flags, serial, body.length), body]);
    if (libc.send(fd, message, message.length, 0) < 0) return broken('send');
    return readAnswer(fd, serial);
  };

  return {
    request: (type, flags, body) => {
      for (let tries = 0; tries < LIST_TRIES; tries += 1) {
        const answer = once(type, flags, body);
        if (answer.kind !== 'changed-meanwhile') return answer; // N2
      }
      return refused('EINTR', 'what the kernel lists changes all the time');
    },
  };
}

const MULTI = 0x2;
const done = (messages: readonly Buffer[]): NetlinkAnswer => ({ kind: 'done', messages });
const refused = (code: string, says: string): NetlinkAnswer => ({ kind: 'refused', code, says });

function open(): number | null {
  const fd = libc.socket(AF_NETLINK, SOCK_RAW + SOCK_CLOEXEC, 0);
  if (fd < 0) return null;
  // With words to a refusal, where the kernel has them; without it there is still the number.
  const on = hostOrder32(1);
  libc.setsockopt(fd, SOL_NETLINK, NETLINK_EXT_ACK, on, on.length);
  return fd;
}

/** struct nlmsghdr. */
function header(type: number, flags: number, serial: number, bodyBytes: number): Buffer {
  return Buffer.concat([
    hostOrder32(HEADER + bodyBytes),
    hostOrder16(type),
    hostOrder16(flags | NLM_F_REQUEST),
    hostOrder32(serial),
    hostOrder32(0),
  ]);
}

interface Message {
  readonly type: number;
  readonly flags: number;
  readonly serial: number;
  readonly body: Buffer;
}

function* split(datagram: Buffer): Generator<Message> {
  for (let at = 0; at + HEADER <= datagram.length;) {
    const bytes = readHost32(datagram, at);
    if (bytes < HEADER || at + bytes > datagram.length) return;
    yield {
      type: readHost16(datagram, at + 4),
      flags: readHost16(datagram, at + 6),
      serial: readHost32(datagram, at + 8),
      body: datagram.subarray(at + HEADER, at + bytes),
    };
    at += aligned(bytes);
  }
}

/** struct nlmsgerr: a negative errno, 0 for an acknowledgement, and the kernel's words behind the question's header. */
function ended(body: Buffer, flags: number, messages: readonly Buffer[]): NetlinkAnswer {
  const number = -(readHost32(body, 0) | 0);
  if (number === 0) return done(messages);
  const code = errnoName(number);
  const questionBytes = (flags & NLM_F_CAPPED) === 0 ? aligned(readHost32(body, 4)) : HEADER;
  const words =
    (flags & NLM_F_ACK_TLVS) === 0 ? undefined : attributes(body, 4 + questionBytes).get(NLMSGERR_ATTR_MSG);
  const why = code === 'EPERM' ? ': it needs CAP_NET_ADMIN' : words === undefined ? '' : `: ${text(words)}`;
  return refused(code, `the kernel refused it with ${code}${why}`);
}

/** An attribute (struct rtattr). */
export function attribute(type: number, value: Buffer): Buffer {
  const bytes = 4 + value.length;
  const padding = Buffer.alloc(aligned(bytes) - bytes);
  return Buffer.concat([hostOrder16(bytes), hostOrder16(type), value, padding]);
}

/** The attributes of a message from `at` on, by type; of those that come twice, the last. */
export function attributes(message: Buffer, at: number): ReadonlyMap<number, Buffer> {
  const found = new Map<number, Buffer>();
  while (at + 4 <= message.length) {
    const bytes = readHost16(message, at);
    if (bytes < 4 || at + bytes > message.length) break;
    found.set(readHost16(message, at + 2) & NLA_TYPE_MASK, message.subarray(at + 4, at + bytes));
    at += aligned(bytes);
  }
  return found;
}

/** The upper two bits say how the value is packed. */
const NLA_TYPE_MASK = 0x3fff;

/** A text that ends with a zero byte. */
export function text(value: Buffer): string {
  const end = value.indexOf(0);
  return value.toString('utf8', 0, end < 0 ? value.length : end);
}

const aligned = (bytes: number): number => (bytes + 3) & ~3;
