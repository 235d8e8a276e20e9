/** File descriptor 3: the line to the `holdfast run` that started us. Its end means that our parent is gone. */

import { Socket } from 'node:net';

export interface Lifeline {
  ready(): void;
  /** A restart would not help. */
  fatal(says: string): void;
}

export function openLifeline(onParentGone: () => void): Lifeline {
  if (process.env['HOLDFAST_LIFELINE'] !== '3') return { ready: () => undefined, fatal: () => undefined };
  const socket = new Socket({ fd: 3, readable: true, writable: true });
  let gone = false;
  const end = (): void => {
    if (gone) return;
    gone = true;
    onParentGone();
  };
  for (const event of ['end', 'close', 'error']) socket.on(event, end);
  socket.resume();
  socket.unref();
  const tell = (message: object): void => {
    if (!socket.destroyed) socket.write(`${JSON.stringify(message)}\n`);
  };
  return { ready: () => tell({ type: 'ready' }), fatal: (says) => tell({ type: 'fatal', says }) };
}
