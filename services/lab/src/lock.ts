// One change of a lab at a time, across processes. The lock is an abstract Unix socket (unix(7)): the kernel releases it
// when its process dies, so there is no stale lock to clean.
import { createServer, type Server } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { isErrno } from './command.ts';
import { LabError } from './error.ts';

const waitMsMax = 30_000;

function bind(name: string): Promise<Server | undefined> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => socket.destroy());
    server.once('error', (error) => (isErrno(error, 'EADDRINUSE') ? resolve(undefined) : reject(error)));
    server.listen(`\0${name}`, () => resolve(server));
  });
}

/** Runs `change` while no other process (and nobody else in this one) changes the lab with this mark. */
export async function withLock<T>(mark: string, change: () => Promise<T>): Promise<T> {
  const deadline = performance.now() + waitMsMax;
  let server = await bind(mark);
  while (server === undefined) {
    if (performance.now() > deadline)
      throw new LabError({
        what: 'cannot change the lab',
        says: `another command has been changing it for ${waitMsMax / 1000} s`,
        fix: 'Wait for that command or end it, then try again.',
      });
    await sleep(5);
    server = await bind(mark);
  }
  const held = server;
  try {
    return await change();
  } finally {
    await new Promise((resolve) => held.close(resolve));
  }
}
