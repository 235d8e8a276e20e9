/** In whose name an operation is begun, also where a member passes it on to the one that leads. */
import type { CommandResult } from '@holdfast/core';
import { admin } from '@holdfast/proto';
import type { MemberCall } from '@holdfast/wire/rpc';
import { adminHandlers, type AdminSurroundings } from '../src/admin-calls.ts';

const request = (by: string): admin.StartOperationRequest =>
  admin.StartOperationRequest.fromPartial({ kind: 'switchover', target: 'd3', by });
const from = (id: string, role: string): MemberCall =>
  ({ signal: new AbortController().signal, from: 'test', peer: { id, role } }) as unknown as MemberCall;

function member(result: CommandResult) {
  const asked: string[] = [];
  const passed: admin.StartOperationRequest[] = [];
  const service = {
    state: { storeAnsweredAt: 0 },
    command: (_wanted: unknown, by: string) => {
      asked.push(by);
      return Promise.resolve(result);
    },
  };
  const around = {
    directory: { record: { id: 'c', cluster: 'lab', externalEtcd: null } },
    current: () => service,
    forward: (_leader: string, wanted: admin.StartOperationRequest) => {
      passed.push(wanted);
      return Promise.resolve({ kind: 'ok', value: admin.StartOperationReply.fromPartial({}) });
    },
  };
  const { startOperation } = adminHandlers(around as unknown as AdminSurroundings);
  return { asked, passed, startOperation };
}

const accepted: CommandResult = { kind: 'accepted', operation: 'd3-7-switchover', reason: '', steps: [] };

describe('an operation', () => {
  it('is begun in the name of whoever asked, and passed on in that name', async () => {
    const { passed, startOperation } = member({ kind: 'not-leader', leader: 'w' });
    await startOperation(request(''), from('jo', 'operator'));
    expect(passed).toMatchObject([{ kind: 'switchover', target: 'd3', by: 'jo' }]);
  });

  it('is that of the one for whom a member passes it on', async () => {
    const { asked, startOperation } = member(accepted);
    await startOperation(request('jo'), from('c', 'witness'));
    await startOperation(request(''), from('b', 'server'));
    expect(asked).toEqual(['jo', 'b']);
  });

  it('is never that of somebody whom an operator only names', async () => {
    const { asked, startOperation } = member(accepted);
    await startOperation(request('a'), from('jo', 'operator'));
    expect(asked).toEqual(['jo']);
  });
});
