/** What a probe is told: 200 where the agent can do its duty, and 503 with the reason where it can't. */
import { createServer, type AddressInfo } from 'node:net';
import { newAgent, parseConfig, type AgentState, type Member } from '@holdfast/core';
import { healthOf } from '../src/health.ts';
import type { Host } from '../src/host.ts';
import { Metrics, type MetricsParts } from '../src/metrics.ts';
import { Tallies } from '../src/tallies.ts';

const members = ['a', 'b'].map((id, index): Member => ({
  ...{ id, role: 'server', addresses: [`10.77.0.1${index}`], voter: true },
}));

function config(outage: string) {
  const identity = { mode: 'add', addresses: ['10.77.0.100/24'] };
  const yaml = { groups: { d3: { servers: ['a', 'b'], outage, identity } } };
  const parsed = parseConfig(yaml, 'cluster.yaml', members);
  if (parsed.kind === 'invalid') throw new Error(parsed.errors.join('\n'));
  return parsed.config;
}

/** Renewals of A fail since 100 s. */
function failing(outage: string | null): AgentState {
  const identity = {
    self: 'a',
    role: 'server',
    members,
    incarnation: 1,
    bootId: 'a1',
    version: '1',
  } as const;
  const fresh = newAgent(identity, 0);
  return {
    ...fresh,
    config: outage === null ? null : config(outage),
    renewal: { ...fresh.renewal, failingSince: 100_000, lastFailure: 'no quorum service answers' },
  };
}

describe('the health of an agent', () => {
  it('is good while renewals fail for no longer than its groups may live by the last one', () => {
    expect(healthOf(failing('35s'), true, 110_000)).toMatchObject({ healthy: true, problems: [] });
    expect(healthOf(failing(null), null, 110_000)).toMatchObject({ healthy: true });
  });

  it.each([
    ['35s', 110_001],
    ['10s', 103_000],
    [null, 110_001],
  ])('is bad when they fail for longer (outage %s)', (outage, now) => {
    const { healthy, problems } = healthOf(failing(outage), true, now);
    expect(healthy).toBe(false);
    expect(problems[0]).toMatch(/^renewals fail for \d+ s: no quorum service answers$/);
  });

  it('is bad without the guard, and not where there is none to be', () => {
    const state = { ...failing('35s'), renewal: { ...failing('35s').renewal, failingSince: null } };
    expect(healthOf(state, null, 200_000)).toMatchObject({ healthy: true, guard: null });
    expect(healthOf(state, false, 200_000)).toMatchObject({
      healthy: false,
      problems: ['the guard does not answer: nothing can be taken over here'],
    });
  });
});

describe('over HTTP', () => {
  it('is told by the status, with the reason in the body', async () => {
    const port = await freePort();
    let now = 105_000;
    const host = { state: () => failing('35s'), bootMs: () => now, self: 'a' } as unknown as Host;
    const parts = { tallies: new Tallies(), notes: { size: 0, dropped: 0 }, guard: null, problems: () => 2 };
    const metrics = new Metrics(host, parts as unknown as MetricsParts);
    try {
      await metrics.listen(port, '127.0.0.1');
      const ask = async (path: string) => {
        const answer = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(5_000) });
        return { status: answer.status, text: await answer.text() };
      };
      expect((await ask('/health')).status).toBe(200);
      now = 130_000;
      const { status, text } = await ask('/health');
      expect(status).toBe(503);
      expect(JSON.parse(text)).toMatchObject({
        healthy: false,
        problems: ['renewals fail for 30 s: no quorum service answers'],
      });
      const lines = (await ask('/metrics')).text.split('\n');
      expect(lines).toEqual(
        expect.arrayContaining([
          'holdfast_healthy 0',
          'holdfast_check_problems 2',
          '# TYPE holdfast_heartbeats_sent_total counter',
          'holdfast_heartbeats_sent_total 0',
        ]),
      );
    } finally {
      metrics.close();
    }
  }, 15_000);
});

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}
