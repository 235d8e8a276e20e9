import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { bootClock } from '../../guard/src/boot-clock.ts';
import { until, type TestClient } from '../../guard/test/client.ts';
import { compileRun, Member, removeCompiled, runsNow, type Compiled, type Run } from './run-fixture.ts';

const bootMs = bootClock();
let compiled: Compiled;
let member: Member;

beforeAll(() => {
  compiled = compileRun();
});
afterAll(() => removeCompiled(compiled));
beforeEach(() => {
  member = new Member(compiled);
});
afterEach(async () => {
  await member.remove();
});

/** Arms the guard for a group whose address is a file. */
async function armGroup(guard: TestClient, inMs = 60_000, drop = ['true']): Promise<void> {
  const fenceAtMs = bootMs() + inMs;
  const group = { group: 'd3', epoch: '7', fenceAtMs, doneByMs: fenceAtMs + 3_000, drops: [drop], stops: [] };
  expect((await guard.arm([group])).type).toBe('armed');
}

async function startedMember(options: Parameters<Member['run']>[0] = {}): Promise<Run> {
  const run = member.run(options);
  await run.ready();
  return run;
}

function pidOf(name: string): number {
  const pid = member.pid(name);
  if (pid === null) throw new Error(`no pid file of ${name}`);
  return pid;
}

describe('holdfast run', () => {
  it('starts guard, quorum, mirror and agent, says so once, and releases in order', async () => {
    const run = await startedMember();
    expect(run.out()).toBe(`holdfast: ready (guard, quorum, mirror, agent) in ${member.dir}\n`);
    for (const name of ['run', 'guard', 'quorum', 'mirror', 'agent']) expect(member.runs(name)).toBe(true);
    expect(pidOf('run')).toBe(run.process.pid);
    run.process.kill('SIGTERM');
    expect(await run.ended()).toBe('0');
    const ending = member.events().filter((event) => !event.endsWith('started'));
    expect(ending).toEqual([
      'agent asked',
      'agent released',
      'mirror asked',
      'mirror released',
      'quorum asked',
      'quorum released',
      'lock released',
    ]);
    for (const name of ['run', 'guard', 'quorum', 'mirror', 'agent']) expect(member.pid(name)).toBeNull();
    expect(member.log('agent')).toMatch(/Z hello from agent\n$/);
    expect(run.err()).not.toContain('hello');
  });

  it('shows what the processes print when asked', async () => {
    const run = await startedMember({ echo: true });
    await until('the greeting', () => run.err().includes('agent | hello from agent\n'));
  });

  it('runs neither guard nor mirrors on a witness: it holds nothing', async () => {
    const run = await startedMember({ role: 'witness' });
    expect(run.out()).toContain('ready (quorum, agent)');
    expect(member.pid('guard')).toBeNull();
    expect(member.pid('mirror')).toBeNull();
    run.process.kill('SIGINT');
    expect(await run.ended()).toBe('0');
  });

  it('does nothing in a directory that another run has', async () => {
    const run = member.run({ busy: true });
    expect(await run.ended()).toBe('1');
    expect(run.err()).toBe('holdfast: another run has it\n');
    expect(member.events()).toEqual([]);
  });

  it.each(['busy', 'fatal'] as const)('waits before it ends where it can not run (%s)', async (why) => {
    if (why === 'fatal') member.behaves('agent', 'fatal');
    const from = performance.now();
    const run = member.run({ busy: why === 'busy', limits: { inVainMs: 700 } });
    await until('the reason to be told', () =>
      run.err().includes(why === 'busy' ? 'another run' : 'no etcd'),
    );
    expect(run.process.exitCode).toBeNull();
    expect(await run.ended()).toBe('1');
    expect(performance.now() - from).toBeGreaterThan(700);
  });

  it('starts a killed agent again at once, then later and later, and touches nothing else', async () => {
    const run = await startedMember();
    const others = ['guard', 'quorum'].map(pidOf);
    for (const wait of ['at once', 'in 250 ms', 'in 500 ms']) {
      const pid = pidOf('agent');
      const starts = member.events().filter((event) => event === 'agent started').length;
      process.kill(pid, 'SIGKILL');
      await until(
        'the next agent',
        () => member.events().filter((e) => e === 'agent started').length > starts,
      );
      expect(run.err()).toMatch(new RegExp(`agent ended \\(SIGKILL\\) after \\d+ ms; started again ${wait}`));
    }
    expect(['guard', 'quorum'].map(pidOf)).toEqual(others);
    expect(others.every(runsNow)).toBe(true);
  });

  it('says with its last words why a process ended by itself', async () => {
    member.behaves('quorum', 'broken');
    const run = member.run();
    await until('the next start', () => run.err().includes('started again'));
    expect(run.err()).toMatch(
      /quorum ended \(status 1\) after \d+ ms; it said: no space left on the disk; started again at once; see /,
    );
  });

  it('starts a killed guard again and touches nothing else', async () => {
    await startedMember();
    const others = ['agent', 'quorum'].map(pidOf);
    const pid = pidOf('guard');
    process.kill(pid, 'SIGKILL');
    await until('another guard', () => pidOf('guard') !== pid && member.runs('guard'));
    await until('it to answer', async () => {
      try {
        return (await (await member.guard()).state()).armed.length === 0;
      } catch {
        return false;
      }
    });
    expect(['agent', 'quorum'].map(pidOf)).toEqual(others);
  });

  it('starts a killed mirror process again and touches nothing else', async () => {
    await startedMember();
    const others = ['agent', 'quorum', 'guard'].map(pidOf);
    process.kill(pidOf('mirror'), 'SIGKILL');
    await until('the next', () => member.events().filter((e) => e === 'mirror started').length === 2);
    expect(['agent', 'quorum', 'guard'].map(pidOf)).toEqual(others);
  });

  it('replaces a frozen guard', async () => {
    const run = await startedMember({ limits: { guardHealthMs: 50 } });
    const pid = pidOf('guard');
    process.kill(pid, 'SIGSTOP');
    await until('another guard', () => run.err().match(/guard started/g)?.length === 2);
    expect(run.err()).toContain('guard has stopped answering; it is replaced');
    expect(runsNow(pid)).toBe(false);
    expect(pidOf('guard')).not.toBe(pid);
  });

  it('gives up when a configuration is wrong at the first start, and shows the last words', async () => {
    member.behaves('quorum', 'wrong');
    const run = member.run();
    expect(await run.ended()).toBe('2');
    expect(run.err()).toContain("quorum can't run, and starting it again would not help");
    expect(run.err()).toContain('member.json: no such file\nrun holdfast init');
    expect(member.events()).not.toContain('agent asked');
    // It was told to quit and said that it would; nobody waits for its last breath.
    await until('the guard to be gone', () => !member.runs('guard'));
  });

  it('gives up with status 1 when a process says that it is hopeless', async () => {
    member.behaves('agent', 'fatal');
    const run = member.run();
    expect(await run.ended()).toBe('1');
    expect(run.err()).toContain('no etcd here');
  });

  it('keeps trying when a configuration becomes wrong later', async () => {
    const run = await startedMember();
    member.behaves('agent', 'wrong');
    process.kill(pidOf('agent'), 'SIGKILL');
    await until('two failures', () => run.err().match(/agent ended \(status 2\)/g)?.length === 2);
    member.behaves('agent', 'usual');
    await until(
      'a good agent',
      () => member.events().filter((event) => event === 'agent started').length >= 4,
    );
    expect(run.process.exitCode).toBeNull();
  });
});

describe('holdfast run --keep', () => {
  it('leaves the guard armed, and the next run takes it as it is', async () => {
    const first = await startedMember({ keep: true });
    const guardPid = pidOf('guard');
    await armGroup(await member.guard());
    first.process.kill('SIGTERM');
    expect(await first.ended()).toBe('0');
    expect(member.events()).toContain('agent kept');
    expect(member.events()).not.toContain('agent asked');
    expect(member.events()).toContain('mirror released');
    expect(runsNow(guardPid)).toBe(true);
    const second = await startedMember();
    expect(pidOf('guard')).toBe(guardPid);
    expect(second.err()).toContain(`guard found running (pid ${guardPid}), armed for d3`);
    await (await member.guard()).ask({ type: 'disarm' });
    second.process.kill('SIGTERM');
    expect(await second.ended()).toBe('0');
    expect(runsNow(guardPid)).toBe(false);
  });

  it('is also what SIGHUP means', async () => {
    const run = await startedMember();
    run.process.kill('SIGHUP');
    expect(await run.ended()).toBe('0');
    expect(member.events()).toContain('agent kept');
  });
});

describe('a release', () => {
  it('that hangs is cut off, and the guard fences what is still armed', async () => {
    member.behaves('agent', 'deaf');
    const run = await startedMember({ limits: { releaseMs: 300 } });
    const dropped = join(member.dir, 'dropped');
    const agentPid = pidOf('agent');
    await armGroup(await member.guard(), 60_000, ['touch', dropped]);
    run.process.kill('SIGTERM');
    expect(await run.ended()).toBe('1');
    expect(runsNow(agentPid)).toBe(false);
    expect(statSync(dropped).isFile()).toBe(true);
    expect(run.err()).toContain('the agent did not end in time and was killed');
    expect(run.err()).toContain('guard: group d3 at epoch 7 is fenced');
    expect(member.runs('guard')).toBe(false);
  });

  it('is waited for, unless it is asked for twice', async () => {
    member.behaves('agent', 'slow');
    const patient = await startedMember();
    patient.process.kill('SIGTERM');
    expect(await patient.ended()).toBe('0');
    expect(member.events()).toContain('agent released');
    const hasty = await startedMember();
    const asked = member.events().length;
    hasty.process.kill('SIGTERM');
    await until('the first request to arrive', () => member.events().length > asked);
    hasty.process.kill('SIGTERM');
    expect(await hasty.ended()).toBe('1');
    expect(member.events().filter((event) => event === 'agent released')).toHaveLength(1);
  });

  it('leaves a guard that could not fence to say so', async () => {
    const run = await startedMember();
    const guard = await member.guard();
    const fenceAtMs = bootMs() + 60_000;
    const times = { fenceAtMs, doneByMs: fenceAtMs + 500 };
    await guard.arm([
      { group: 'd3', epoch: '7', ...times, drops: [], stops: [{ argv: ['false'], timeoutMs: 200 }] },
    ]);
    run.process.kill('SIGTERM');
    expect(await run.ended()).toBe('1');
    expect(run.err()).toContain('could not be fenced: stop: false: exit status 1');
  });
});

describe('after a SIGKILL of run', () => {
  it('agent, mirror and quorum end by themselves, the guard stays, and the next run starts', async () => {
    const first = await startedMember();
    const guardPid = pidOf('guard');
    const others = ['agent', 'mirror', 'quorum'].map(pidOf);
    await armGroup(await member.guard());
    first.process.kill('SIGKILL');
    await first.ended();
    await until('them to end', () => !others.some(runsNow));
    expect(member.events()).toContain('agent orphaned');
    const second = await startedMember();
    expect(pidOf('guard')).toBe(guardPid);
    expect(second.err()).not.toContain('was killed');
  });

  it('what does not end by itself is killed by the next run', async () => {
    member.behaves('agent', 'deaf');
    const first = await startedMember();
    const agentPid = pidOf('agent');
    first.process.kill('SIGKILL');
    await first.ended();
    member.behaves('agent', 'usual');
    const second = await startedMember({ limits: { leftoverMs: 100 } });
    expect(runsNow(agentPid)).toBe(false);
    expect(second.err()).toContain('the agent of an earlier run was killed');
    expect(readFileSync(join(member.dir, 'run', 'agent.pid'), 'utf8').trim()).not.toBe(String(agentPid));
  });
});
