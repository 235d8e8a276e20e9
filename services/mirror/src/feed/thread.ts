/** The entry of a feed's thread: reads events so that the owner's event loop does not have to keep up with them. */
import { parentPort, workerData } from 'node:worker_threads';
import type { FromThread, ThreadOptions, ToThread } from './messages.ts';
import { Pump } from './pump.ts';
import { reasonOf } from './reason.ts';

const port = parentPort;
if (port === null) throw new Error('this file is the entry of a thread');
const say = (message: FromThread): void => {
  port.postMessage(message);
};
const options = workerData as ThreadOptions;

try {
  const excluded = options.excluded.map((path) => Buffer.from(path, 'latin1'));
  const pump = new Pump({ ...options, excluded }, (batch) => {
    say({ kind: 'batch', batch });
  });
  port.on('message', (message: ToThread) => {
    switch (message.kind) {
      case 'taken':
        pump.taken();
        return;
      case 'ask':
        pump.ask(message.number);
        return;
      case 'close':
        pump.close();
        port.close();
    }
  });
  say({ kind: 'watching' });
} catch (error) {
  say({ kind: 'refused', says: reasonOf(error) });
  port.close();
}
