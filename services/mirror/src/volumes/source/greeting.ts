/**
 * The first words on a connection: both hellos, and what the target tells of its standing.
 *
 *   W1  a target of a higher epoch is never sent anything (files/source/joining.ts, J3)
 *   W2  it has `greetMs` for all of it, and is not believed more ranges than a volume has chunks
 */

import { unknownChecksum, type Epoch, type History } from '@holdfast/core';
import { protocolVersion, type Connection, type Frame, type Hello } from '../../transport/types.ts';
import type { ByteRange } from '../../transport/volume-frames.ts';

const greetMs = 10_000;

export interface Greeting {
  readonly cluster: string;
  readonly mirror: string;
  readonly self: string;
  readonly target: string;
  readonly epoch: Epoch;
  readonly history: History;
  readonly sequence: number;
  readonly sizeBytes: number;
  readonly rangesMax: number;
}

export type Greeted =
  | {
      readonly kind: 'met';
      readonly hello: Hello;
      readonly stamp: string;
      readonly ranges: readonly ByteRange[];
    }
  | { readonly kind: 'refused'; readonly says: string };

/** A selection is of files; a volume is always whole. */
export const wholeVolume = Buffer.from('volume');

/** Afterwards the connection holds, until somebody listens to it. */
export function greet(connection: Connection, us: Greeting): Promise<Greeted> {
  return new Promise((resolve) => {
    let hello: Hello | null = null;
    const ranges: ByteRange[] = [];
    const settle = (greeted: Greeted): void => {
      clearTimeout(timer);
      connection.hold();
      resolve(greeted);
    };
    const refused = (says: string): void => settle({ kind: 'refused', says });
    const timer = setTimeout(() => refused(`${us.target} does not say how it stands`), greetMs);
    connection.onEnd(({ says }) => refused(says));
    connection.onFrame((frame: Frame) => {
      if (frame.kind === 'beat') return;
      const wrong = wrongOf(frame, hello !== null, us);
      if (wrong !== null) refused(wrong);
      else if (frame.kind === 'hello') hello = frame;
      else if (frame.kind === 'volume-standing' && hello !== null) {
        ranges.push(...frame.ranges);
        if (ranges.length > us.rangesMax)
          refused(`${us.target} names more than there is`); // W2
        else if (frame.last) settle({ kind: 'met', hello, stamp: frame.stamp, ranges });
      }
    });
    connection.send(helloOf(us));
  });
}

function helloOf(us: Greeting): Hello {
  return {
    kind: 'hello',
    protocol: protocolVersion,
    cluster: us.cluster,
    member: us.self,
    mirror: us.mirror,
    role: 'source',
    epoch: us.epoch,
    position: { epoch: us.epoch, sequence: us.sequence, checksum: unknownChecksum },
    history: us.history,
    selection: wholeVolume,
    consistent: true,
    parts: [],
    foreign: false,
    compareRanges: 0,
  };
}

/** Null: it may stand here. */
function wrongOf(frame: Frame, met: boolean, us: Greeting): string | null {
  if (frame.kind === 'refuse') return frame.says;
  if (!met) return frame.kind === 'hello' ? wrongWith(frame, us) : `${us.target} did not say hello`;
  if (frame.kind !== 'volume-standing') return `${us.target} sent ${frame.kind} too early`;
  return frame.sizeBytes < us.sizeBytes ? tooSmall(us, frame.sizeBytes) : null;
}

function wrongWith(hello: Hello, us: Greeting): string | null {
  const { target } = us;
  if (hello.protocol !== protocolVersion)
    return `${target} speaks version ${hello.protocol} of the protocol, not ${protocolVersion}`;
  if (hello.cluster !== us.cluster || hello.mirror !== us.mirror || hello.member !== target)
    return `${target} answered as ${hello.member} for ${hello.mirror} of ${hello.cluster}`;
  if (hello.role !== 'target') return `${target} is no target, but a ${hello.role}`;
  if (!hello.selection.equals(wholeVolume)) return `${target} mirrors files under this name, not a volume`;
  if (hello.epoch > us.epoch)
    return `${target} has seen epoch ${hello.epoch}, and this source has ${us.epoch}`; // W1
  return null;
}

function tooSmall({ target, sizeBytes }: Greeting, has: number): string {
  return `the volume of ${target} has ${has} bytes, and ${sizeBytes} are needed; make it larger`;
}
