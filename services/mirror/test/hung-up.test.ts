/** What a source says of a target that is not there, while it hangs up by itself to dial anew. */
import { afterEach, expect, jest, test } from '@jest/globals';
import type { Dialed } from '../src/transport/types.ts';
import { makePair, type MirrorPair } from './mirror-pair.ts';

jest.setTimeout(30_000);
let pair: MirrorPair;

afterEach(() => pair.close());

test('an order that hangs up leaves the reason why the target is not there', async () => {
  pair = await makePair({});
  await pair.settle();
  const told = () => pair.source.state().targets[0];
  const member = told()?.target ?? '';
  pair.cut();
  await pair.until(() => told()?.says === 'the line is cut', 'the target is away');
  let asked = 0;
  /** Nobody answers until the source itself hangs up. */
  const dial = (signal: AbortSignal): Promise<Dialed> =>
    new Promise((resolve) => {
      asked += 1;
      const stopped = { kind: 'failed', failure: { kind: 'stopped', says: 'asked to stop' } } as const;
      if (signal.aborted) resolve(stopped);
      else signal.addEventListener('abort', () => resolve(stopped), { once: true });
    });
  pair.source.setTargets([{ member, dial, paused: null }]);
  await pair.until(() => asked > 0, 'it is dialed');
  pair.source.resync(member);
  await pair.until(() => asked > 1, 'it is dialed anew');
  expect(told()?.says).toBe('the line is cut');
});
