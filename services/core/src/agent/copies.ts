/** What a server tells of its copies: all of them with its renewals, a few rows of its sources with each heartbeat. */

import {
  freshWordMs,
  unseenMs,
  type LiveMirror,
  type MirrorCopy,
  type MirrorReport,
  type MirrorRow,
  type MirrorSourceReport,
  type MirrorTargetReport,
} from '../mirror/report.ts';
import type { BootMs } from '../names.ts';

const roundMs = 100;
/** Rows in one heartbeat, which is one datagram; the others follow in the next ones. */
const liveRowsMax = 4;
/** The copies of this server, for its renewal. */
export function copiesAt(reports: readonly MirrorReport[], now: BootMs): readonly MirrorCopy[] {
  return reports.flatMap((r): readonly MirrorCopy[] => {
    if (r.kind === 'source') return [];
    const { mirror, epoch, sequence, consistent, state, says } = r;
    const word = r.word === null || epoch === 0n ? null : r.word;
    const ageMs = word === null ? null : Math.max(0, now - word.at);
    return [
      {
        mirror,
        epoch,
        sequence,
        consistent,
        state,
        lossMs: word === null ? null : rounded(word.behindMs),
        lossBytes: word === null ? null : Math.round(word.behindBytes),
        wordAgeMs: ageMs === null ? null : ageMs < freshWordMs ? 0 : rounded(ageMs),
        says,
        ...(r.choice === undefined ? {} : { choice: r.choice }),
        ...notesOf(r),
      },
    ];
  });
}

/** Only what there is to tell, so that a copy without trouble costs nothing. */
function notesOf({ notes }: MirrorTargetReport): Pick<MirrorCopy, 'foreign' | 'unprotected' | 'kept'> {
  if (notes === undefined) return {};
  const { foreign, unprotected, keptEntries } = notes;
  return {
    ...(foreign === null || foreign === 0 ? {} : { foreign }),
    ...(unprotected === '' ? {} : { unprotected }),
    ...(keptEntries === 0 ? {} : { kept: keptEntries }),
  };
}

/** Never less than it is. */
function rounded(ms: number): number {
  return Math.ceil(ms / roundMs) * roundMs;
}

function liveRow(
  { mirror, epoch, says, export: exported }: MirrorSourceReport,
  row: MirrorRow,
  silentMs: number,
): LiveMirror {
  const live = {
    target: row.target,
    state: row.state,
    consistent: row.consistent,
    behindBytes: row.behindBytes,
    behindMs: row.behindMs + unseenMs(silentMs),
    totalBytes: row.totalBytes,
    doneBytes: row.doneBytes,
    rateBytesPerSecond: row.rateBytesPerSecond,
    says: row.says === '' ? says : row.says,
    mirror,
    epoch,
  };
  return exported === null ? live : { ...live, export: exported };
}

/** Some rows of the sources here, in turn: every target comes round. `toldAt`: when the mirror process said this. */
export function liveAt(
  reports: readonly MirrorReport[],
  toldAt: BootMs,
  heartbeatMs: number,
  now: BootMs,
): readonly LiveMirror[] {
  const silentMs = now - toldAt;
  const rows = reports.flatMap((r) =>
    r.kind === 'target' ? [] : r.targets.map((row) => liveRow(r, row, silentMs)),
  );
  if (rows.length <= liveRowsMax) return rows;
  const from = (Math.floor(now / heartbeatMs) * liveRowsMax) % rows.length;
  return [...rows.slice(from), ...rows.slice(0, from)].slice(0, liveRowsMax);
}
