/** A lifetime counts from the call (A2): a process that stood still in between must not give an address more time. */
import { createAddresses } from '../src/platform/linux/addresses.ts';
import { attributes, createNetlink, REQUEST, type Netlink } from '../src/platform/linux/netlink.ts';

const IFA_CACHEINFO = 6;

/** Looks at the real kernel, and only notes what would be changed. */
function watched(changes: { readonly type: number; readonly seconds: number | undefined }[]): Netlink {
  const real = createNetlink();
  let held: Buffer | null = null;
  return {
    request: (type, flags, body) => {
      if (type === REQUEST.newAddress || type === REQUEST.dropAddress) {
        changes.push({ type, seconds: attributes(body, 8).get(IFA_CACHEINFO)?.readUInt32LE(4) });
        held = type === REQUEST.newAddress ? body : null;
        return { kind: 'done', messages: [] };
      }
      const answer = real.request(type, flags, body);
      if (type !== REQUEST.getAddress || held === null || answer.kind === 'refused') return answer;
      return { kind: 'done', messages: [...answer.messages, held] };
    },
  };
}

/** A clock that jumps by so much after it was first read. */
function jumping(ms: number): { bootMs: () => number; bootId: () => string } {
  let now = 1_000;
  return {
    bootMs: () => {
      const read = now;
      now = 1_000 + ms;
      return read;
    },
    bootId: () => 'boot',
  };
}

describe('an address that is set late', () => {
  const held = async (seconds: number, jumpMs: number) => {
    const changes: { readonly type: number; readonly seconds: number | undefined }[] = [];
    const addresses = createAddresses('/usr/sbin/ip', watched(changes), jumping(jumpMs));
    const outcome = await addresses.hold('192.0.2.77/32', 'lo', seconds);
    return { outcome, changes };
  };

  it('has what is left of its lifetime', async () => {
    const { outcome, changes } = await held(20, 2_400);
    expect(outcome).toEqual({ kind: 'done' });
    expect(changes).toEqual([
      { type: REQUEST.newAddress, seconds: 20 },
      { type: REQUEST.newAddress, seconds: 17 },
    ]);
  });

  it('is taken back when its time is over', async () => {
    const { outcome, changes } = await held(2, 1_400);
    expect(outcome).toMatchObject({
      kind: 'failed',
      says: expect.stringContaining('too late') as string,
    });
    expect(changes.at(-1)?.type).toBe(REQUEST.dropAddress);
  });

  it('is left as it is when it was not late', async () => {
    const { outcome, changes } = await held(20, 100);
    expect(outcome).toEqual({ kind: 'done' });
    expect(changes).toHaveLength(1);
  });
});
