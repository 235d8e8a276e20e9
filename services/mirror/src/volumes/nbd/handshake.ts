/**
 * The fixed newstyle handshake of one client: its options are answered until it goes over to requests, or goes.
 *
 *   H1  whatever a client sends ends in an answer, in `over`, or in waiting for more; options are bounded in size and number
 *   H2  one export is known, by its name and as the default one
 */

import { Incoming } from './incoming.ts';
import {
  allocationContext,
  exportFlags,
  fixedNewstyle,
  info,
  initMagic,
  nameBytesMax,
  noZeroes,
  option,
  optionBytesMax,
  optionMagic,
  optionReply,
  optionReplyMagic,
  optionsMax,
  preferredBytes,
  queriesMax,
  requestBytesMax,
} from './protocol.ts';

export interface Exported {
  readonly name: string;
  readonly sizeBytes: number;
  readonly readOnly: boolean;
}

export type Step =
  | { readonly kind: 'more' }
  | { readonly kind: 'over'; readonly says: string }
  /** Requests follow. `structured`: of reads; `allocation`: it may ask for what is allocated. */
  | { readonly kind: 'ready'; readonly structured: boolean; readonly allocation: boolean };

const more: Step = { kind: 'more' };
const optionHeaderBytes = 16;
const paddingBytes = 124;
/** The number by which a client and we know base:allocation. */
export const allocationId = 1;

export function flagsOf({ readOnly }: Exported): number {
  const { hasFlags, flush, fua, trim, writeZeroes, multiConn, cache } = exportFlags;
  const always = hasFlags | flush | multiConn | cache;
  return readOnly ? always | exportFlags.readOnly : always | fua | trim | writeZeroes;
}

/** What the server says first. */
export function greeting(): Buffer {
  const bytes = Buffer.alloc(18);
  bytes.writeBigUInt64BE(initMagic, 0);
  bytes.writeBigUInt64BE(optionMagic, 8);
  bytes.writeUInt16BE(fixedNewstyle | noZeroes, 16);
  return bytes;
}

export class Handshake {
  readonly #exported: Exported;
  readonly #incoming: Incoming;
  readonly #send: (bytes: Buffer) => void;
  #flags: number | null = null;
  #option: { readonly number: number; readonly bytes: number } | null = null;
  #options = 0;
  #structured = false;
  #allocation = false;

  constructor(exported: Exported, incoming: Incoming, send: (bytes: Buffer) => void) {
    this.#exported = exported;
    this.#incoming = incoming;
    this.#send = send;
  }

  /** Goes on with what came. */
  step(): Step {
    for (;;) {
      const taken = this.#flags === null ? this.#takeFlags() : this.#takeOption();
      if (taken !== null) return taken;
    }
  }

  /** Null: go on. */
  #takeFlags(): Step | null {
    const bytes = this.#incoming.take(4);
    if (bytes === null) return more;
    const flags = bytes.readUInt32BE(0);
    if ((flags & fixedNewstyle) === 0) return over('it does not speak the fixed newstyle');
    if ((flags & ~(fixedNewstyle | noZeroes)) !== 0) return over('it sets flags that nobody offered');
    this.#flags = flags;
    return null;
  }

  #takeOption(): Step | null {
    if (this.#option === null) {
      const header = this.#incoming.take(optionHeaderBytes);
      if (header === null) return more;
      if (header.readBigUInt64BE(0) !== optionMagic) return over('what it sends is no option');
      const bytes = header.readUInt32BE(12);
      this.#options += 1;
      if (bytes > optionBytesMax || this.#options > optionsMax) return over('its options have no end'); // H1
      this.#option = { number: header.readUInt32BE(8), bytes };
    }
    const { number, bytes } = this.#option;
    const data = this.#incoming.take(bytes);
    if (data === null) return more;
    this.#option = null;
    return this.#answer(number, data);
  }

  #answer(number: number, data: Buffer): Step | null {
    switch (number) {
      case option.exportName:
        return this.#exportName(data);
      case option.abort:
        this.#reply(number, optionReply.ack);
        return over('it went');
      case option.list:
        return this.#list(data);
      case option.info:
      case option.go:
        return this.#info(number, data);
      case option.structuredReply:
        if (data.length > 0) return this.#reply(number, optionReply.invalid);
        this.#structured = true;
        return this.#reply(number, optionReply.ack);
      case option.listMetaContext:
      case option.setMetaContext:
        return this.#contexts(number, data);
      default:
        return this.#reply(number, optionReply.unsupported);
    }
  }

  /** The old way, which has no answer for a name that is unknown. */
  #exportName(data: Buffer): Step {
    if (!this.#known(data)) return over('it asks for an export that is not here');
    const padded = ((this.#flags ?? 0) & noZeroes) === 0 ? paddingBytes : 0;
    const bytes = Buffer.alloc(10 + padded);
    bytes.writeBigUInt64BE(BigInt(this.#exported.sizeBytes), 0);
    bytes.writeUInt16BE(flagsOf(this.#exported), 8);
    this.#send(bytes);
    return this.#ready();
  }

  #list(data: Buffer): null {
    if (data.length > 0) return this.#reply(option.list, optionReply.invalid);
    const name = Buffer.from(this.#exported.name);
    const bytes = Buffer.alloc(4);
    bytes.writeUInt32BE(name.length, 0);
    this.#reply(option.list, optionReply.server, Buffer.concat([bytes, name]));
    return this.#reply(option.list, optionReply.ack);
  }

  #info(number: number, data: Buffer): Step | null {
    const name = lengthPrefixed(data, 0);
    const requests = name === null ? -1 : name.length + 4;
    if (name === null || data.length < requests + 2) return this.#reply(number, optionReply.invalid);
    const wanted = data.readUInt16BE(requests);
    if (data.length !== requests + 2 + wanted * 2) return this.#reply(number, optionReply.invalid);
    if (!this.#known(name)) return this.#reply(number, optionReply.unknown);
    const about = Buffer.alloc(12);
    about.writeUInt16BE(info.export, 0);
    about.writeBigUInt64BE(BigInt(this.#exported.sizeBytes), 2);
    about.writeUInt16BE(flagsOf(this.#exported), 10);
    this.#reply(number, optionReply.info, about);
    const sizes = Buffer.alloc(14);
    sizes.writeUInt16BE(info.blockSize, 0);
    sizes.writeUInt32BE(1, 2);
    sizes.writeUInt32BE(preferredBytes, 6);
    sizes.writeUInt32BE(requestBytesMax, 10);
    this.#reply(number, optionReply.info, sizes);
    const own = Buffer.from(`\0\0${this.#exported.name}`);
    own.writeUInt16BE(info.name, 0);
    this.#reply(number, optionReply.info, own);
    this.#reply(number, optionReply.ack);
    return number === option.go ? this.#ready() : null;
  }

  #contexts(number: number, data: Buffer): null {
    const asked = contextsOf(data);
    if (asked === null || !this.#structured) return this.#reply(number, optionReply.invalid);
    if (!this.#known(asked.name)) return this.#reply(number, optionReply.unknown);
    const listing = number === option.listMetaContext;
    const meant = asked.queries.some(
      (query) => query === allocationContext || (listing && query === 'base:'),
    );
    const found = meant || (listing && asked.queries.length === 0);
    if (!listing) this.#allocation = found;
    if (found) {
      const bytes = Buffer.from(`\0\0\0\0${allocationContext}`);
      bytes.writeUInt32BE(listing ? 0 : allocationId, 0);
      this.#reply(number, optionReply.metaContext, bytes);
    }
    return this.#reply(number, optionReply.ack);
  }

  /** H2. */
  #known(name: Buffer): boolean {
    return name.length === 0 || name.toString() === this.#exported.name;
  }

  #ready(): Step {
    return { kind: 'ready', structured: this.#structured, allocation: this.#allocation };
  }

  #reply(number: number, type: number, data: Buffer = Buffer.alloc(0)): null {
    const header = Buffer.alloc(20);
    header.writeBigUInt64BE(optionReplyMagic, 0);
    header.writeUInt32BE(number, 8);
    header.writeUInt32BE(type, 12);
    header.writeUInt32BE(data.length, 16);
    this.#send(Buffer.concat([header, data]));
    return null;
  }
}

const over = (says: string): Step => ({ kind: 'over', says });

/** Null: it is not whole, or too long. */
function lengthPrefixed(data: Buffer, at: number): Buffer | null {
  if (data.length < at + 4) return null;
  const length = data.readUInt32BE(at);
  const end = at + 4 + length;
  return length > nameBytesMax || end > data.length ? null : data.subarray(at + 4, end);
}

function contextsOf(data: Buffer): { readonly name: Buffer; readonly queries: readonly string[] } | null {
  const name = lengthPrefixed(data, 0);
  if (name === null || data.length < name.length + 8) return null;
  const count = data.readUInt32BE(name.length + 4);
  if (count > queriesMax) return null;
  const queries: string[] = [];
  let at = name.length + 8;
  for (let i = 0; i < count; i += 1) {
    const query = lengthPrefixed(data, at);
    if (query === null) return null;
    queries.push(query.toString());
    at += 4 + query.length;
  }
  return at === data.length ? { name, queries } : null;
}
