/** Which ends of etcd may pass by themselves, so that `run` starts the quorum service again. */
import { failureFromLog, mayPass } from '../src/etcd/failure.ts';

const line = (msg: string) => JSON.stringify({ level: 'fatal', msg, path: '/d/etcd/member/wal' });

it.each([
  ['write /d/etcd/member/wal/1.tmp: no space left on device', true],
  ['sync /d/etcd/member/snap/db: input/output error', true],
  ['wal: crc mismatch', false],
  ['listen tcp 0.0.0.0:7448: bind: address already in use', false],
  ['the member has been permanently removed from the cluster', false],
])('an etcd that said "%s": %s', (said, passes) => {
  expect(mayPass(failureFromLog([line(said)], 'ended with code 1', '/d/etcd'))).toBe(passes);
});
