/** What an NBD client sends, as bytes, for tests that bend it. */

export function clientFlags(flags = 3): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(flags, 0);
  return bytes;
}

export function optionBytes(number: number, data: Buffer = Buffer.alloc(0), length = data.length): Buffer {
  const header = Buffer.alloc(16);
  header.write('IHAVEOPT', 0, 'latin1');
  header.writeUInt32BE(number, 8);
  header.writeUInt32BE(length, 12);
  return Buffer.concat([header, data]);
}

/** NBD_OPT_GO or NBD_OPT_INFO for an export, with what is wanted of it. */
export function goBytes(name: string, infos: readonly number[] = [], number = 7): Buffer {
  const data = Buffer.alloc(4 + name.length + 2 + infos.length * 2);
  data.writeUInt32BE(name.length, 0);
  data.write(name, 4, 'latin1');
  data.writeUInt16BE(infos.length, 4 + name.length);
  infos.forEach((info, i) => data.writeUInt16BE(info, 6 + name.length + i * 2));
  return optionBytes(number, data);
}

/** NBD_OPT_SET_META_CONTEXT (10) or LIST (9). */
export function contextBytes(name: string, query: string, number = 10): Buffer {
  const data = Buffer.alloc(4 + name.length + 8 + query.length);
  data.writeUInt32BE(name.length, 0);
  data.write(name, 4, 'latin1');
  data.writeUInt32BE(1, 4 + name.length);
  data.writeUInt32BE(query.length, 8 + name.length);
  data.write(query, 12 + name.length, 'latin1');
  return optionBytes(number, data);
}

export interface RequestFields {
  readonly command: number;
  readonly flags?: number;
  readonly cookie?: bigint;
  readonly offset?: bigint;
  readonly length?: number;
  readonly contents?: Buffer;
  readonly magic?: number;
}

export function requestBytes(of: RequestFields): Buffer {
  const contents = of.contents ?? Buffer.alloc(0);
  const header = Buffer.alloc(28);
  header.writeUInt32BE(of.magic ?? 0x25609513, 0);
  header.writeUInt16BE(of.flags ?? 0, 4);
  header.writeUInt16BE(of.command, 6);
  header.writeBigUInt64BE(of.cookie ?? 7n, 8);
  header.writeBigUInt64BE(of.offset ?? 0n, 16);
  header.writeUInt32BE(of.length ?? contents.length, 24);
  return Buffer.concat([header, contents]);
}

/** A whole life of a client. */
export function lifeBytes(): Buffer {
  return Buffer.concat([
    clientFlags(),
    optionBytes(3),
    optionBytes(8),
    contextBytes('disk', 'base:', 9),
    contextBytes('disk', 'base:allocation'),
    goBytes('disk', [0, 1, 3], 6),
    goBytes('disk', [3]),
    requestBytes({ command: 1, offset: 512n, contents: Buffer.alloc(700, 5), cookie: 1n }),
    requestBytes({ command: 0, offset: 0n, length: 4_096, cookie: 2n }),
    requestBytes({ command: 6, flags: 3, offset: 4_096n, length: 4_096, cookie: 3n }),
    requestBytes({ command: 4, offset: 8_192n, length: 4_096, cookie: 4n }),
    requestBytes({ command: 7, flags: 8, offset: 0n, length: 65_536, cookie: 5n }),
    requestBytes({ command: 3, cookie: 6n }),
    requestBytes({ command: 2, cookie: 7n }),
  ]);
}
