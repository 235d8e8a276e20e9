// Sends heartbeats in a member's name: sealed with the cluster's own key, but of an agent that has long ended, as somebody
// would who recorded them. Each says that the sender's group is fenced, which would move it at once if it were believed.
//
//   replay.js MEMBER_DIR SENDER GROUP EPOCH ADDRESS...
import { createSocket } from 'node:dgram';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { openMemberDirectory } from '../../../services/wire/dist/directory.js';
import { seal } from '../../../services/wire/dist/datagram.js';

const [dir, sender, group, epoch, ...addresses] = process.argv.slice(2);
const opened = await openMemberDirectory(dir);
if (opened.kind !== 'ok') throw new Error(opened.error.says);
const { record, heartbeatKey } = opened.value;
const bootMs = Number(readFileSync(join('/proc', 'uptime'), 'utf8').split(' ')[0]) * 1000;

const socket = createSocket('udp4');
for (let sequence = 1n; sequence <= 50n; sequence += 1n) {
  const sealed = seal(
    {
      cluster: record.cluster,
      sender,
      incarnation: 1n,
      sequence,
      path: 0,
      body: {
        $case: 'heartbeat',
        value: {
          sentAtMs: bootMs,
          echoSentAtMs: 0,
          echoAgeMs: 0,
          version: '0.1.0',
          leaving: false,
          addresses: [],
          groups: [{ group, epoch: BigInt(epoch), state: 'fenced', drained: [] }],
          vantage: [],
          wallMs: Date.now(),
          diagnoses: [],
          bootId: '',
          mirrors: [],
        },
      },
    },
    heartbeatKey,
  );
  if (sealed.kind !== 'ok') throw new Error('too long');
  for (const address of addresses)
    await new Promise((done) => socket.send(sealed.datagram, record.ports.heartbeat, address, () => done()));
}
socket.close();
