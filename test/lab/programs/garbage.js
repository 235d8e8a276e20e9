// Throws garbage at every port of a member: random bytes, halves of real protocols, and heartbeats with a forged seal.
//
//   garbage.js ADDRESS
import { randomBytes } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { connect } from 'node:net';

const [address = ''] = process.argv.slice(2);
const tcpPorts = [7443, 7445, 7446, 7447, 7448];
const udpPort = 7444;
const limitMs = 1_000;

const samples = [
  randomBytes(1),
  randomBytes(1_400),
  randomBytes(65_536),
  Buffer.from('GET / HTTP/1.1\r\n\r\n'),
  Buffer.from('PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n'),
  Buffer.from([0x16, 3, 1, 0xff, 0xff]), // the beginning of a TLS record that never ends
  Buffer.alloc(0),
];

const throwAt = (port, bytes) =>
  new Promise((done) => {
    const socket = connect({ host: address, port });
    const end = () => {
      socket.destroy();
      done();
    };
    socket.setTimeout(limitMs, end);
    socket
      .on('connect', () => socket.write(bytes))
      .on('data', () => {})
      .on('error', end)
      .on('close', end);
    setTimeout(end, limitMs);
  });

const udp = createSocket('udp4');
const send = (bytes) => new Promise((done) => udp.send(bytes, udpPort, address, () => done()));
const header = Buffer.from([0x48, 0x46, 1]);
for (let round = 0; round < 200; round++) {
  await send(randomBytes(1 + ((round * 7) % 1_400)));
  await send(Buffer.concat([header, randomBytes(100)])); // looks like ours, with a seal that is not
}
for (const port of tcpPorts) await Promise.all(samples.map((bytes) => throwAt(port, bytes)));
udp.close();
