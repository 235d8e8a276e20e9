/** What a person is told when no member answers a question. */
import { defaultPorts, type MemberRole, type WireError } from '@holdfast/wire/directory';
import { membersToAsk } from '../src/member-connection.ts';
import { nobodyAnswered } from '../src/nobody-answered.ts';

const path = '/var/lib/holdfast';

function told(role: MemberRole, error: WireError): string {
  const self = { id: 'a', role, addresses: ['10.77.0.11'], ports: defaultPorts };
  const record = { ...self, format: 1 as const, cluster: 'acme', externalEtcd: null };
  const known = { ...record, members: [{ ...self, voter: true }] };
  return nobodyAnswered({ path, record: known }, membersToAsk(known), error);
}

describe('the advice where nobody answers', () => {
  const silent = { kind: 'unreachable', message: 'a does not answer' } as const;

  it('is to start the own member, where the directory is of one', () => {
    expect(told('witness', silent)).toBe(
      [
        'no member of the cluster acme answers',
        'tried a at 127.0.0.1, 10.77.0.11 port 7443',
        'a does not answer',
        `start the member of ${path} with \`holdfast run\`, or check the network and --dir`,
      ].join('\n'),
    );
  });

  it('is not to start what can not run', () => {
    expect(told('operator', silent)).toMatch(/\nis the network to them up, and does holdfast run there\?$/);
  });

  it('is not to start what runs: its certificate is wrong', () => {
    const message = 'the certificate of a expired';
    expect(told('server', { kind: 'certificate', problem: 'expired', message })).toMatch(
      /\nthe certificate of a expired$/,
    );
  });
});
