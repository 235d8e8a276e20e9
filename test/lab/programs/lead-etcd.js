// Says on stdout whose etcd leads, and makes another's the leader first, if one is named. Run on any member's host:
//
//   lead-etcd.js MEMBER_DIR [MEMBER]
//
// etcd's call for it (Maintenance.MoveLeader) is answered by the leader alone, so all are asked who that is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Metadata, credentials } from '@grpc/grpc-js';
import { openMemberDirectory } from '../../../services/wire/dist/directory.js';
import { etcd } from '../../../proto/dist/index.js';

const [dir, wanted] = process.argv.slice(2);
const opened = await openMemberDirectory(dir);
if (opened.kind !== 'ok') throw new Error(opened.error.says);
const pem = (name) => readFileSync(join(dir, 'pki', name));
const tls = credentials.createSsl(pem('authority.crt'), pem('member.key'), pem('member.crt'));

const members = await Promise.all(
  opened.value.record.members.map(async ({ id, addresses, ports }) => {
    const at = `${addresses.at(-1)}:${ports.etcdClient}`;
    const client = new etcd.MaintenanceClient(at, tls);
    const status = await new Promise((resolve) =>
      client.status({}, new Metadata(), { deadline: Date.now() + 2_000 }, (error, reply) =>
        resolve(error === null ? reply : null),
      ),
    );
    return { id, at, member: status?.header?.memberId ?? 0n, leader: status?.leader ?? 0n };
  }),
);
const leader = members.find(({ member, leader }) => member !== 0n && member === leader);
if (leader === undefined) throw new Error('nobody leads');
const target = members.find(({ id }) => id === (wanted ?? leader.id));
if (target === undefined) throw new Error(`${wanted} is no member`);
if (leader !== target) {
  const client = new etcd.MaintenanceClient(leader.at, tls);
  await new Promise((resolve, reject) =>
    client.moveLeader(
      { targetID: target.member },
      new Metadata(),
      { deadline: Date.now() + 5_000 },
      (error) => (error === null ? resolve() : reject(error)),
    ),
  );
}
process.stdout.write(`${target.id}\n`);
process.exit(0);
