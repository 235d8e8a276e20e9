/**
 * Reads the events of a whole file system (fanotify) and keeps those of one root. One mark sees every folder, also one that
 * is a microsecond old: there is no moment in which a new folder is not yet watched.
 *
 * N1. The queue of the kernel is bounded (fs.fanotify.max_queued_events, 16,384): when it overflows the kernel says so, and
 *     `overflowed` is true.
 * N2. Events are in the order of their happening; equal ones are merged into the earlier. So when a marker is read, everything
 *     that happened before it was made has been read.
 * N3. Folder moves are searched for in all of a read before any handle of it is resolved (folders.ts, D1).
 *
 * Needs CAP_SYS_ADMIN and CAP_DAC_READ_SEARCH, and Linux 5.9. Sources: fanotify_init(2), fanotify_mark(2), fanotify(7).
 */
import { AT_FDCWD, O_CLOEXEC, cText, errorCode, libc } from '../os/libc.ts';
import { OsError } from '../os/types.ts';
import {
  FAN_ATTRIB,
  FAN_CLOSE_WRITE,
  FAN_CREATE,
  FAN_DELETE,
  FAN_MODIFY,
  FAN_MOVED_FROM,
  FAN_MOVED_TO,
  FAN_ONDIR,
  FAN_Q_OVERFLOW,
  type FeedEvent,
  eachEvent,
} from './events.ts';
import { Folders, handleOf } from './folders.ts';

const FAN_CLOEXEC = 1;
const FAN_NONBLOCK = 2;
const FAN_REPORT_DFID_NAME = 0xc00;
const FAN_MARK_ADD_FILESYSTEM = 0x101;
const WATCHED =
  FAN_MODIFY |
  FAN_ATTRIB |
  // Comes when a writable mapping of the file ends, too, and so tells of stores that nothing else tells of.
  FAN_CLOSE_WRITE |
  FAN_MOVED_FROM |
  FAN_MOVED_TO |
  FAN_CREATE |
  FAN_DELETE |
  FAN_ONDIR;
const BYTES = 256 * 1024;
/** Prefix of the names of markers in their folder; a number follows. */
export const MARKER = 'barrier-';

export interface ReaderOptions {
  readonly root: string;
  readonly excluded: readonly Buffer[];
  /** Absolute; exists, on the same file system. */
  readonly markers: string;
}

/** What one reading found. */
export interface Reading {
  /** Path (latin1) to whether everything beneath it may differ. */
  readonly changes: Map<string, boolean>;
  /** Numbers of the markers that were seen. */
  readonly markers: number[];
  overflowed: boolean;
  /** Events of the kernel, of whatever folder. */
  events: number;
}

export class Reader {
  /** Readable when there are events. */
  readonly fd: number;
  readonly #folders: Folders;
  readonly #markers: Buffer;
  readonly #buffer = Buffer.alloc(BYTES);

  /** Throws OsError where watching is not permitted or not there. */
  constructor({ root, excluded, markers }: ReaderOptions) {
    this.#markers = handleOf(markers);
    this.#folders = new Folders(root, excluded);
    const flags = FAN_CLOEXEC | FAN_NONBLOCK | FAN_REPORT_DFID_NAME;
    this.fd = libc.fanotifyInit(flags, O_CLOEXEC);
    if (this.fd < 0) throw this.#failed('fanotify_init');
    const marked = libc.fanotifyMark(this.fd, FAN_MARK_ADD_FILESYSTEM, WATCHED, AT_FDCWD, cText(root));
    if (marked < 0) {
      const error = this.#failed('fanotify_mark');
      libc.close(this.fd);
      throw error;
    }
  }

  close(): void {
    libc.close(this.fd);
    this.#folders.close();
  }

  /** Reads until nothing is left or `untilMs` (performance.now()) has come; `into` gets what was found. */
  read(into: Reading, untilMs: number): 'empty' | 'more' {
    do {
      const bytes = libc.read(this.fd, this.#buffer, BYTES);
      if (bytes < 0) {
        const code = errorCode();
        if (code === 'EAGAIN' || code === 'EINTR') return 'empty';
        throw new OsError(code, 'read', null);
      }
      this.#noticeMoves(bytes);
      eachEvent(this.#buffer, bytes, (event) => {
        this.#take(event, into);
      });
    } while (performance.now() < untilMs);
    return 'more';
  }

  /** N3. */
  #noticeMoves(bytes: number): void {
    const moves: Buffer[] = [];
    const use = ({ handleStart, handleEnd }: FeedEvent): void => {
      moves.push(this.#buffer.subarray(handleStart, handleEnd));
    };
    eachEvent(this.#buffer, bytes, use, { all: FAN_ONDIR, some: FAN_MOVED_FROM | FAN_MOVED_TO });
    if (moves.length === 0) return;
    this.#folders.movedOutside();
    if (moves.some((handle) => this.#folders.find(handle) !== null)) this.#folders.forget();
  }

  #take(event: FeedEvent, into: Reading): void {
    into.events += 1;
    if ((event.mask & FAN_Q_OVERFLOW) !== 0) {
      into.overflowed = true; // N1
      this.#folders.forget();
      return;
    }
    const handle = this.#buffer.subarray(event.handleStart, event.handleEnd);
    if (handle.length === 0) {
      into.overflowed = true; // Something changed, and the kernel can't say where.
      return;
    }
    const marker = (event.mask & FAN_CREATE) !== 0 && handle.equals(this.#markers);
    if (marker) this.#takeMarker(this.#buffer.toString('latin1', event.nameStart, event.nameEnd), into);
    const folder = this.#folders.find(handle);
    if (folder === null) return;
    if (!folder.exact) {
      into.changes.set(folder.path.toString('latin1'), true);
      return;
    }
    const name = this.#buffer.toString('latin1', event.nameStart, event.nameEnd);
    const between = folder.path.length === 0 || name === '' ? '' : '/';
    const path = `${folder.path.toString('latin1')}${between}${name}`;
    if (this.#folders.isExcluded(Buffer.from(path, 'latin1'))) return;
    const whole = (event.mask & FAN_MOVED_TO) !== 0 && (event.mask & FAN_ONDIR) !== 0;
    into.changes.set(path, whole || (into.changes.get(path) ?? false));
  }

  #takeMarker(name: string, into: Reading): void {
    const number = name.startsWith(MARKER) ? Number(name.slice(MARKER.length)) : NaN;
    if (Number.isSafeInteger(number)) into.markers.push(number);
  }

  #failed(call: string): OsError {
    const error = new OsError(errorCode(), call, null);
    this.#folders.close();
    return error;
  }
}
