/**
 * File descriptor 3: the line to the `holdfast run` that started us, one JSON object per line. Its end means that our
 * parent is gone. HOLDFAST_LIFELINE=3 says that it is there; without it we run by hand.
 */

import { Socket } from 'node:net';
import { LineReader } from './line-reader.ts';

export interface LifelineListener {
  parentGone(): void;
  /** Where there are no signals (Windows). */
  asked(mode: 'release' | 'keep'): void;
}

export interface Lifeline {
  ready(): void;
  /** We can't run, and a restart would not help. Resolves when it was sent. */
  fatal(says: string): Promise<void>;
}

const fatalMs = 500;

export function openLifeline(listener: LifelineListener): Lifeline {
  if (process.env['HOLDFAST_LIFELINE'] !== '3')
    return { ready: () => undefined, fatal: () => Promise.resolve() };
  const socket = new Socket({ fd: 3, readable: true, writable: true });
  const lines = new LineReader(4_096, () => undefined);
  let gone = false;
  const end = (): void => {
    if (gone) return;
    gone = true;
    listener.parentGone();
  };
  socket.on('end', end);
  socket.on('close', end);
  socket.on('error', end);
  socket.on('data', (chunk: Buffer) => {
    for (const line of lines.push(chunk)) {
      const mode = modeOf(line);
      if (mode !== null) listener.asked(mode);
    }
  });
  return {
    ready: () => {
      if (!gone) socket.write('{"type":"ready"}\n');
    },
    fatal: (says) =>
      new Promise((resolve) => {
        if (gone) {
          resolve();
          return;
        }
        setTimeout(resolve, fatalMs).unref();
        socket.write(`${JSON.stringify({ type: 'fatal', says })}\n`, () => resolve());
      }),
  };
}

function modeOf(line: string): 'release' | 'keep' | null {
  try {
    const message: unknown = JSON.parse(line);
    if (typeof message !== 'object' || message === null || !('type' in message)) return null;
    return message.type === 'release' || message.type === 'keep' ? message.type : null;
  } catch {
    // Not for us.
    return null;
  }
}
