/** When a write is answered as the flush after it would be, and when a flush has nothing left to wait for. */
import { ExportedVolume } from '../src/volumes/export/exported-volume.ts';
import { FlushPattern } from '../src/volumes/export/flush-pattern.ts';
import { Intake } from '../src/volumes/export/intake.ts';
import { gate, SharedMemory } from '../src/volumes/export/shared-memory.ts';
import { recordFlag, recordKind, type WriteRecord } from '../src/volumes/export/write-ring.ts';
import { outcome } from '../src/volumes/nbd/protocol.ts';
import { PowerCutDisk } from './power-cut-disk.ts';

const extentBytes = 4_096;
const extents = 16;
const contentsBytes = 65_536;

describe('a flush of an export', () => {
  let memory: SharedMemory;
  let volume: ExportedVolume;
  let intake: Intake;
  let taken: WriteRecord[];
  /** By the source, to what is durable; null: not yet. */
  let answers: number | null;
  let waiting: ((outcome: number) => void)[];
  let granted: boolean;

  beforeEach(() => {
    memory = SharedMemory.made(new SharedArrayBuffer(extents), extentBytes, contentsBytes);
    memory.grant(1_000);
    memory.hot.fill(1);
    const disk = new PowerCutDisk();
    disk.format('volume', extents * extentBytes);
    taken = [];
    waiting = [];
    answers = outcome.done;
    granted = true;
    volume = new ExportedVolume({
      ...{ store: disk.open('volume'), shared: memory, mayAct: () => granted },
      ...{ wakeSource: () => undefined, refused: () => undefined },
    });
    intake = new Intake({
      ...{ shared: memory, wakeExport: () => undefined, taken: () => undefined },
      take: (record, _contents, answer) => {
        taken.push(record);
        if (answer === null) return;
        const settles = record.kind === recordKind.flush || (record.flags & recordFlag.durable) !== 0;
        if (settles && answers === null) waiting.push(answer);
        else answer(settles ? (answers ?? outcome.done) : outcome.done);
      },
    });
    intake.answerWrites(true);
  });
  afterEach(() => intake.end());

  const turn = (): void => {
    intake.catchUp();
    volume.look();
  };
  const write = (durable = false): { came: number | null } => {
    const answer: { came: number | null } = { came: null };
    volume.submit({ kind: 'write', offset: 0, contents: Buffer.alloc(512, 7), durable }, (came) => {
      answer.came = came;
    });
    turn();
    return answer;
  };
  /** Without a turn of the source: what is answered at once was answered here. */
  const flush = (): { came: number | null } => {
    const answer: { came: number | null } = { came: null };
    volume.submit({ kind: 'flush' }, (came) => (answer.came = came));
    return answer;
  };
  const log = (rounds: number): void => {
    for (let i = 0; i < rounds; i += 1) {
      write();
      flush();
      turn();
    }
  };
  const settles = (): boolean => ((taken.at(-1)?.flags ?? 0) & recordFlag.durable) !== 0;

  it('that is expected is done with the write before it', () => {
    log(6);
    answers = null;
    const wrote = write();
    expect(settles()).toBe(true);
    expect(wrote.came).toBeNull();
    waiting[0]?.(outcome.done);
    volume.look();
    expect(wrote.came).toBe(outcome.done);
    expect(flush().came).toBe(outcome.done);
    expect(taken.at(-1)?.kind).toBe(recordKind.write);
  });

  it('is not expected in mode async, where nobody waits for a target', () => {
    intake.answerWrites(false);
    log(6);
    write();
    expect(settles()).toBe(false);
    expect(flush().came).toBeNull();
  });

  it('has to wait after whatever was written since, by anybody', () => {
    expect(write(true).came).toBe(outcome.done);
    expect(flush().came).toBe(outcome.done);
    volume.submit({ kind: 'zero', offset: 0, length: 512, hole: true, durable: false }, () => undefined);
    turn();
    expect(flush().came).toBeNull();
  });

  it('covers nothing that was written after it was asked', () => {
    write();
    answers = null;
    flush();
    intake.catchUp();
    write();
    waiting[0]?.(outcome.done);
    volume.look();
    expect(flush().came).toBeNull();
  });

  it('has to wait after more is meant by durable, also where the answer to one that was asked before comes later', () => {
    write(true);
    intake.meanMore();
    expect(flush().came).toBeNull();
    turn();
    expect(flush().came).toBe(outcome.done);
    answers = null;
    write(true);
    intake.meanMore();
    waiting[0]?.(outcome.done);
    volume.look();
    expect(flush().came).toBeNull();
  });

  it('has to wait after one that failed', () => {
    answers = outcome.io;
    expect(write(true).came).toBe(outcome.io);
    expect(flush().came).toBeNull();
  });

  it('has to wait in the beginning: what a life before wrote may not be durable', () => {
    expect(flush().came).toBeNull();
  });

  it('is answered by the source where the disk failed, and not at all without a grant', () => {
    write(true);
    intake.close(gate.failed);
    expect(flush().came).toBeNull();
    intake.open(gate.failed);
    granted = false;
    expect(flush().came).toBe(outcome.shutdown);
  });
});

describe('whether a flush is next', () => {
  const pattern = (...rounds: readonly number[]): FlushPattern => {
    const made = new FlushPattern();
    for (const writes of rounds) {
      for (let i = 0; i < writes; i += 1) made.wrote();
      made.flushed();
    }
    return made;
  };

  it('is told after the same number of writes as in the rounds before', () => {
    const log = pattern(1, 1, 1, 1, 1);
    expect(log.wrote()).toBe(true);
    const journal = pattern(3, 3, 3, 3, 3);
    expect([journal.wrote(), journal.wrote(), journal.wrote()]).toEqual([false, false, true]);
  });

  it('is not told where rounds differ, nor after too few of them', () => {
    expect(pattern(1, 1, 1).wrote()).toBe(false);
    expect(pattern(1, 1, 1, 1, 1, 2).wrote()).toBe(false);
  });

  it('is not told any more once a write came instead', () => {
    const log = pattern(1, 1, 1, 1, 1);
    expect([log.wrote(), log.wrote(), log.wrote()]).toEqual([true, false, false]);
    log.flushed();
    expect(log.wrote()).toBe(false);
  });
});
