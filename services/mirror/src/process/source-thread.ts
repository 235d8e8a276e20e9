/** The entry of a volume's thread: what its clients wrote (export-thread.ts), on its way to the targets. */
import { setPriority } from 'node:os';
import { parentPort } from 'node:worker_threads';
import { telling } from '@holdfast/core';
import type { MirrorRunRow } from '@holdfast/wire/mirror';
import { refused, type SourceSide } from './side.ts';
import { ThreadedExport } from './threaded-export.ts';
import type { FromSourceThread, SourceThreadOptions, ToSourceThread } from './threaded-source.ts';
import { openSource } from './volume-home.ts';

const reportMs = 50;

const port = parentPort;
if (port === null) throw new Error('this file is the entry of a thread');
const tell = (message: FromSourceThread): void => port.postMessage(message);

try {
  // The rest of the process gives way to everybody (main.ts). This is the disk of a service, and runs as the service does.
  setPriority(0);
} catch {
  // Without the right to that it is as slow as its process on a busy host, and nothing else.
}

type Message = Exclude<ToSourceThread, { kind: 'open' }>;
// Begun before it is needed, as this one was.
const exporting = ThreadedExport.begun();
let heard: ((message: Message) => void) | null = null;

port.on('message', (message: ToSourceThread) => {
  if (message.kind === 'open') void open(message.options);
  else heard?.(message);
});

async function open({ home, order, role, grantUntil }: SourceThreadOptions): Promise<void> {
  const says = (sentence: string): void => tell({ kind: 'says', sentence });
  const opened = await openSource(home, order, { ...role, grantUntil }, exporting, says);
  if (opened.kind === 'open') run(opened.side);
  else {
    exporting.end();
    tell({ kind: 'failed', says: opened.says });
    port?.close();
  }
}

function run(side: SourceSide): void {
  const aborts = new Map<number, AbortController>();
  const rooms = new Map<number, () => void>();
  let told = '';
  let toldMs = -Infinity;
  const report = (): void => {
    const now = side.report();
    const text = JSON.stringify({ ...now, epoch: now.epoch.toString() });
    if (text === told && performance.now() - toldMs < telling.restMs) return;
    told = text;
    toldMs = performance.now();
    tell({ kind: 'report', report: now });
  };
  const timer = setInterval(report, reportMs);
  heard = (message) => {
    switch (message.kind) {
      case 'change':
        side.change(message.order, message.role);
        return;
      case 'drain': {
        const { id, to, limitMs } = message;
        void side.drain(to, limitMs).then((targets) => tell({ kind: 'drained', id, targets }));
        return;
      }
      case 'writable':
        side.writable?.();
        return;
      case 'run': {
        const { id } = message;
        const abort = new AbortController();
        aborts.set(id, abort);
        const room = (): Promise<void> =>
          new Promise((resolve) => {
            rooms.set(id, resolve);
            tell({ kind: 'full', id });
          });
        const row = (told: MirrorRunRow): void => tell({ kind: 'row', id, row: told });
        void side
          .run(message.run, { row, room, signal: abort.signal })
          .catch(refused)
          .then((answered) => tell({ kind: 'answered', id, answered }))
          .finally(() => aborts.delete(id));
        return;
      }
      case 'room':
        rooms.get(message.id)?.();
        rooms.delete(message.id);
        return;
      case 'abort':
        aborts.get(message.id)?.abort();
        return;
      case 'close':
        clearInterval(timer);
        void side.close(message.why).then(() => {
          tell({ kind: 'closed' });
          port?.close();
        });
    }
  };
  report();
  tell({ kind: 'opened' });
}
