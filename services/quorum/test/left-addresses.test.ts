/** An own address goes to another server, and etcd's connections from it are ended. */

import type { DropAnswer } from '../src/etcd/peer-sockets.ts';
import { LeftAddresses } from '../src/left-addresses.ts';

function host(drop: (address: string) => DropAnswer = () => ({ kind: 'dropped', connections: 2 })) {
  const dropped: string[] = [];
  const warned: string[] = [];
  const here = { addresses: ['127.0.0.1', '10.77.0.12', '10.78.0.12'] as string[] | null };
  const left = new LeftAddresses((says) => warned.push(says), {
    list: () => {
      if (here.addresses === null) throw new Error('netlink is silent');
      return here.addresses;
    },
    drop: (address, port) => {
      dropped.push(`${address} ${String(port)}`);
      return Promise.resolve(drop(address));
    },
  });
  return { left, here, dropped, warned };
}

it('ends what comes from the own address when it gives way to that of the primary, once', async () => {
  const { left, here, dropped, warned } = host();
  await left.leave(7448);
  here.addresses = ['127.0.0.1', '10.78.0.12', '10.77.0.11'];
  await left.leave(7448);
  await left.leave(7448);
  expect(dropped).toEqual(['10.77.0.12 7448']);
  expect(warned).toEqual(['10.77.0.12 left this host']);
});

it('ends what comes from the address that was taken over, when it goes back', async () => {
  const { left, here, dropped } = host();
  here.addresses = ['10.78.0.12', '10.77.0.11'];
  await left.leave(7448);
  here.addresses = ['10.78.0.12', '10.77.0.12'];
  await left.leave(7448);
  expect(dropped).toEqual(['10.77.0.11 7448']);
});

it('says nothing of an address that etcd did not use, such as one of a group', async () => {
  const { left, here, warned } = host(() => ({ kind: 'dropped', connections: 0 }));
  await left.leave(7448);
  here.addresses = [];
  await left.leave(7448);
  expect(warned).toEqual([]);
});

it('takes a system that does not tell for no news, and says so', async () => {
  const { left, here, dropped, warned } = host();
  await left.leave(7448);
  const before = here.addresses;
  here.addresses = null;
  await left.leave(7448);
  here.addresses = before;
  await left.leave(7448);
  expect(dropped).toEqual([]);
  expect(warned).toEqual(["the addresses of this host can't be listed: Error: netlink is silent"]);
});

it('says why the connections stay', async () => {
  const { left, here, warned } = host(() => ({ kind: 'failed', says: 'ss -K failed: no such program' }));
  await left.leave(7448);
  here.addresses = ['10.78.0.12'];
  await left.leave(7448);
  expect(warned[1]).toMatch(
    /^10\.77\.0\.12 left this host; etcd's connections from it stay .*no such program$/,
  );
});
