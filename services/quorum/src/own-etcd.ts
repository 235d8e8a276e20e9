/** The etcd of a member that votes: with what it is started, whichever start that is, and how it is spoken to from its own host. */

import { pathIn, type MemberDirectory, type MemberRecord } from '@holdfast/wire/directory';
import type { EtcdAddress } from './etcd/endpoints.ts';
import type { EtcdOptions } from './etcd/flags.ts';
import { peerUrlsOf } from './voting.ts';

export function ownEtcd({
  record,
  path,
}: MemberDirectory): Omit<EtcdOptions, 'initialCluster' | 'initialState'> {
  return {
    name: record.id,
    dataDir: pathIn(path, 'etcd'),
    logFile: pathIn(path, 'run', 'etcd.log'),
    listenAddresses: listenAddresses(record),
    clientPort: record.ports.etcdClient,
    peerPort: record.ports.etcdPeer,
    advertisePeerUrls: peerUrlsOf(record),
    tls: {
      caFile: pathIn(path, 'pki', 'authority.crt'),
      certFile: pathIn(path, 'pki', 'member.crt'),
      keyFile: pathIn(path, 'pki', 'member.key'),
    },
  };
}

/** An identity may move an address of this host away and back: never bind to one of them. */
export function listenAddresses({ addresses }: Pick<MemberRecord, 'addresses'>): readonly string[] {
  return [addresses.some((a) => a.includes(':')) ? '::' : '0.0.0.0'];
}

export function ownAddress({ record, authority, certificate, key }: MemberDirectory): EtcdAddress {
  return {
    endpoints: [`127.0.0.1:${record.ports.etcdClient}`],
    tls: { ca: authority, cert: certificate, key, serverName: 'localhost' },
    localFirst: true,
  };
}
