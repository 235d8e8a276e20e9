/**
 * The records of fanotify(7) as they lie in a read buffer: which name in which folder, and what happened to it. Only groups
 * with FAN_REPORT_DFID_NAME are read. Nothing is copied until somebody asks.
 *
 * Source: fanotify(7), struct fanotify_event_metadata and fanotify_event_info_fid in linux/fanotify.h.
 */

export const FAN_MODIFY = 0x2;
export const FAN_ATTRIB = 0x4;
export const FAN_CLOSE_WRITE = 0x8;
export const FAN_MOVED_FROM = 0x40;
export const FAN_MOVED_TO = 0x80;
export const FAN_CREATE = 0x100;
export const FAN_DELETE = 0x200;
export const FAN_Q_OVERFLOW = 0x4000;
export const FAN_ONDIR = 0x40000000;

const METADATA_BYTES = 24;
const MASK_AT = 8;
const VERSION = 3;
const DFID_NAME = 2;
const DFID = 3;
/** struct fanotify_event_info_header and the fsid, before struct file_handle. */
const HANDLE_AT = 12;
const HANDLE_BYTES_AT = 8;

export interface FeedEvent {
  readonly mask: number;
  /** struct file_handle of the folder, in the read buffer; length 0 when the kernel told none. */
  readonly handleStart: number;
  readonly handleEnd: number;
  /** The name in the folder, without its NUL; length 0: the folder itself. */
  readonly nameStart: number;
  readonly nameEnd: number;
}

interface EventFilter {
  readonly all?: number;
  readonly some?: number;
}

/**
 * Calls `use` for each event of the first `bytes` of the buffer; with `all` only for those that have all these bits and
 * one of `some`. Throws when the kernel speaks another version.
 */
export function eachEvent(
  buffer: Buffer,
  bytes: number,
  use: (event: FeedEvent) => void,
  { all = 0, some = -1 }: EventFilter = {},
): void {
  for (let at = 0; at + METADATA_BYTES <= bytes;) {
    const length = buffer.readUInt32LE(at);
    const version = buffer[at + 4];
    if (version !== VERSION)
      throw new Error(`fanotify speaks version ${String(version)}, not ${String(VERSION)}`);
    const mask = buffer.readUInt32LE(at + MASK_AT);
    if ((mask & all) === all && (mask & some) !== 0) use(eventAt(buffer, at, at + length, mask));
    at += length;
  }
}

function eventAt(buffer: Buffer, start: number, end: number, mask: number): FeedEvent {
  for (let at = start + buffer.readUInt16LE(start + 6); at < end; at += buffer.readUInt16LE(at + 2)) {
    const type = buffer[at];
    if (type !== DFID_NAME && type !== DFID) continue;
    const handleStart = at + HANDLE_AT;
    const handleEnd = handleStart + HANDLE_BYTES_AT + buffer.readUInt32LE(handleStart);
    const nameEnd = type === DFID ? handleEnd : buffer.indexOf(0, handleEnd);
    const self = nameEnd - handleEnd === 1 && buffer[handleEnd] === 0x2e;
    return { mask, handleStart, handleEnd, nameStart: handleEnd, nameEnd: self ? handleEnd : nameEnd };
  }
  return { mask, handleStart: 0, handleEnd: 0, nameStart: 0, nameEnd: 0 };
}
