/** What of a volume is asked for in one frame: as many ranges as it may name, and no more of the volume than one answer tells of. */

import { blockBytes, blocksIn, compareBytesMax, type ByteRange } from '../../transport/volume-frames.ts';

/** In order. Each range begins with a block; one that is larger than a question is cut. */
export function* questionsOf(ranges: Iterable<ByteRange>, rangesMax: number): Iterable<readonly ByteRange[]> {
  let question: ByteRange[] = [];
  let bytes = 0;
  for (const range of ranges)
    for (let done = 0; done < range.length;) {
      if (question.length >= rangesMax || bytes >= compareBytesMax) {
        yield question;
        question = [];
        bytes = 0;
      }
      const length = Math.min(compareBytesMax - bytes, range.length - done);
      question.push({ offset: range.offset + done, length });
      bytes += blocksIn(length) * blockBytes;
      done += length;
    }
  if (question.length > 0) yield question;
}
