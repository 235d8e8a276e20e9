/** Ending the connections of a dead path, or from an address that left, on loopback. Needs root, as the quorum service does. */

import { once } from 'node:events';
import { connect, createServer, type AddressInfo } from 'node:net';
import { dropPeerConnections } from '../src/etcd/peer-sockets.ts';

it.each(['127.0.0.1', '::'])(
  'ends connections with the peer on its port, and no others (on %s)',
  async (listen) => {
    const server = createServer().listen(0, listen);
    const beside = createServer().listen(0, listen);
    await Promise.all([once(server, 'listening'), once(beside, 'listening')]);
    const { port } = server.address() as AddressInfo;
    // Ends with an error when it is dropped.
    server.on('connection', (socket) => socket.on('error', () => socket.destroy()));
    const doomed = connect(port, '127.0.0.1');
    const kept = connect((beside.address() as AddressInfo).port, '127.0.0.1');
    await Promise.all([once(doomed, 'connect'), once(kept, 'connect')]);

    const ended = once(doomed, 'error');
    const answer = await dropPeerConnections('far', '127.0.0.1', port, 2_000);
    expect(answer.kind === 'dropped' && answer.connections).toBeGreaterThan(0);
    await ended;
    expect(kept.destroyed).toBe(false);

    kept.destroy();
    server.close();
    beside.close();
  },
);

it('ends connections from an address that this host had, and none from its others', async () => {
  const server = createServer().listen(0, '::');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.on('connection', (socket) => socket.on('error', () => socket.destroy()));
  const doomed = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.2' });
  const kept = connect({ port, host: '127.0.0.1', localAddress: '127.0.0.3' });
  await Promise.all([once(doomed, 'connect'), once(kept, 'connect')]);

  const ended = once(doomed, 'error');
  const answer = await dropPeerConnections('near', '127.0.0.2', port, 2_000);
  expect(answer.kind === 'dropped' && answer.connections).toBeGreaterThan(0);
  await ended;
  expect(kept.destroyed).toBe(false);

  kept.destroy();
  server.close();
});

it('refuses what is not an address', () => {
  expect(() => dropPeerConnections('far', '10.0.0.1 or dst 0.0.0.0/0', 2380, 1_000)).toThrow(
    /not an IP address/,
  );
});
