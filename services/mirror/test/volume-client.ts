/** An NBD client that writes many at once, and hears of each what came of it. */
import { connect, type Socket } from 'node:net';
import { clientFlags, goBytes, requestBytes } from './nbd-bytes.ts';

const [write, flush] = [1, 3];
const fua = 1;
const greetingBytes = 18;
const optionReplyBytes = 20;
const replyBytes = 16;
const openMs = 2_000;
const [acknowledged, errors] = [1, 2 ** 31];

/** What the server said; null: the connection was lost before. */
export type Came = number | null;

export class VolumeClient {
  readonly #socket: Socket;
  readonly #waiting = new Map<bigint, (came: Came) => void>();
  #bytes: Buffer = Buffer.alloc(0);
  #cookie = 0n;
  #lost = false;
  /** Of the handshake. */
  #ready: ((ok: boolean) => void) | null = null;
  #greeted = false;

  private constructor(socketPath: string) {
    this.#socket = connect(socketPath);
    this.#socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    this.#socket.on('error', () => this.#socket.destroy());
    this.#socket.on('close', () => this.#end());
  }

  /** Null: nobody serves it there, or says nothing. */
  static async open(socketPath: string, name: string): Promise<VolumeClient | null> {
    const client = new VolumeClient(socketPath);
    const ready = new Promise<boolean>((resolve) => {
      client.#ready = resolve;
    });
    client.#socket.write(Buffer.concat([clientFlags(), goBytes(name)]));
    const late = setTimeout(() => client.close(), openMs);
    const open = await ready;
    clearTimeout(late);
    return open ? client : null;
  }

  write(offset: number, contents: Buffer, durable: boolean): Promise<Came> {
    return this.#ask({ command: write, offset: BigInt(offset), contents, flags: durable ? fua : 0 });
  }

  flush(): Promise<Came> {
    return this.#ask({ command: flush });
  }

  close(): void {
    this.#socket.destroy();
    this.#end();
  }

  #ask(fields: Omit<Parameters<typeof requestBytes>[0], 'cookie'>): Promise<Came> {
    if (this.#lost) return Promise.resolve(null);
    this.#cookie += 1n;
    const cookie = this.#cookie;
    return new Promise((resolve) => {
      this.#waiting.set(cookie, resolve);
      this.#socket.write(requestBytes({ ...fields, cookie }));
    });
  }

  #hear(chunk: Buffer): void {
    this.#bytes = Buffer.concat([this.#bytes, chunk]);
    while (this.#ready === null ? this.#reply() : this.#greeting());
  }

  /** True: there may be more to hear. */
  #greeting(): boolean {
    if (!this.#greeted) {
      if (this.#bytes.length < greetingBytes) return false;
      this.#bytes = this.#bytes.subarray(greetingBytes);
      this.#greeted = true;
    }
    if (this.#bytes.length < optionReplyBytes) return false;
    const length = optionReplyBytes + this.#bytes.readUInt32BE(16);
    if (this.#bytes.length < length) return false;
    const kind = this.#bytes.readUInt32BE(12);
    this.#bytes = this.#bytes.subarray(length);
    if (kind !== acknowledged && kind < errors) return true;
    this.#ready?.(kind === acknowledged);
    this.#ready = null;
    return true;
  }

  #reply(): boolean {
    if (this.#bytes.length < replyBytes) return false;
    const error = this.#bytes.readUInt32BE(4);
    const cookie = this.#bytes.readBigUInt64BE(8);
    this.#bytes = this.#bytes.subarray(replyBytes);
    this.#waiting.get(cookie)?.(error);
    this.#waiting.delete(cookie);
    return true;
  }

  #end(): void {
    this.#lost = true;
    this.#ready?.(false);
    this.#ready = null;
    for (const resolve of this.#waiting.values()) resolve(null);
    this.#waiting.clear();
  }
}
