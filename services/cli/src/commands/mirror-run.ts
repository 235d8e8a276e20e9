/**
 * One order to the mirror process of some member, and everything that it answers.
 *
 * M1. Answers are kept up to `rowsMax`; what differs beyond it is counted by the other end, what is kept beyond it here.
 * M2. The end of --wait ends the watching, not a resync that is under way. However short it is, the order is given: the
 *     watching does not end before the first answer, or `orderMs`.
 */
import type { admin } from '@holdfast/proto';
import type { AdminClient } from '../admin-client.ts';
import type { Context } from '../context.ts';
import { forPrograms } from '../show.ts';
import { callTrouble, ok, type Fallible } from '../trouble.ts';
import { progressText } from '../view/mirror-lines.ts';

export interface KeptRow extends admin.MirrorKept {
  /** The member that keeps it. */
  readonly member: string;
}

export interface MirrorAnswers {
  readonly verified: readonly admin.MirrorVerified[];
  readonly differences: readonly admin.MirrorDifference[];
  readonly kept: readonly KeptRow[];
  /** How many more are kept (M1). */
  readonly unnamed: number;
  /** What each member said at its end. */
  readonly says: readonly string[];
  /** Somebody could not be asked. */
  readonly incomplete: boolean;
  /** False: --wait ended before. */
  readonly over: boolean;
}

/** A comparison of everything, or a restore, may take days: as long as a member goes on with it. A script brings its own --wait. */
export const untilItEndsMs = 7 * 86_400_000;
const rowsMax = 100_000;
const waitMsMax = 2 ** 31 - 1;
const orderMs = 2_000;

export const emptyRequest: admin.RunMirrorRequest = {
  mirror: '',
  target: '',
  kind: '',
  repair: false,
  path: '',
  to: '',
  member: '',
  writable: false,
  targets: [],
};

/** `waitMs`: how long the end is waited for. */
export async function runMirror(
  context: Context,
  client: AdminClient,
  request: admin.RunMirrorRequest,
  waitMs: number,
): Promise<Fallible<MirrorAnswers>> {
  const stop = new AbortController();
  const until = performance.now() + waitMs;
  const end = (): void => stop.abort();
  let late = setTimeout(end, Math.min(Math.max(waitMs, orderMs), waitMsMax));
  let began = false;
  const found: Found = { verified: [], differences: [], kept: [], unnamed: 0, says: [], incomplete: false };
  const beganMs = context.now();
  const shows = !forPrograms(context) && context.terminal.isTty;
  try {
    for await (const answer of client.runMirror(request, stop.signal)) {
      if (stop.signal.aborted) break;
      if (answer.kind === 'error') return callTrouble(answer.error, `${request.kind} ${request.mirror}`);
      if (!began && waitMs < orderMs) {
        clearTimeout(late);
        late = setTimeout(end, Math.max(0, until - performance.now()));
      }
      began = true;
      const progress = take(found, answer.value);
      if (progress !== null && shows)
        context.terminal.err(`\r\u001B[K${progressText(progress, context.now() - beganMs)}`);
    }
  } finally {
    clearTimeout(late);
    if (shows) context.terminal.err('\r\u001B[K');
  }
  return ok({ ...found, over: !stop.signal.aborted });
}

interface Found {
  readonly verified: admin.MirrorVerified[];
  readonly differences: admin.MirrorDifference[];
  readonly kept: KeptRow[];
  unnamed: number;
  readonly says: string[];
  incomplete: boolean;
}

/** M1. Returns what is to be shown meanwhile. */
function take(found: Found, { member, what }: admin.RunMirrorReply): admin.MirrorProgress | null {
  switch (what?.$case) {
    case 'progress':
      return what.value;
    case 'verified':
      found.verified.push(what.value);
      return null;
    case 'difference':
      if (found.differences.length < rowsMax) found.differences.push(what.value);
      return null;
    case 'kept':
      if (found.kept.length < rowsMax) found.kept.push({ ...what.value, member });
      else found.unnamed += 1;
      return null;
    case 'done':
      if (what.value.says !== '') found.says.push(what.value.says);
      if (what.value.incomplete === true) found.incomplete = true;
      return null;
    case undefined:
      // A newer member says something that this one can't show.
      return null;
  }
}
