import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { choosePlatform } from '../src/platform/index.ts';
import { createClock } from '../src/platform/linux/clock.ts';
import { inNetwork, ipv6Octets, parseCidr } from '../src/platform/linux/cidr.ts';
import type { ParsedCidr } from '../src/platform/linux/cidr.ts';
import { createLinuxPlatform } from '../src/platform/linux/index.ts';
import { effectiveCapabilities, findLacks } from '../src/platform/linux/preflight.ts';
import { createUnits, parseState, systemdRuns } from '../src/platform/linux/systemd.ts';

describe('boot time', () => {
  /** A host whose clocks we turn. */
  const host = (uptimeMs: number, monotonicMs: number) => {
    const time = { uptimeMs, monotonicMs };
    const clock = createClock({
      uptimeMs: () => Math.floor(time.uptimeMs / 10) * 10,
      monotonicMs: () => time.monotonicMs,
    });
    return { time, clock };
  };

  it('runs with the monotonic clock, finer than the uptime, and never back', () => {
    const { time, clock } = host(1000, 1000);
    let last = 0;
    for (let step = 0; step < 1000; step += 1) {
      time.uptimeMs += 0.7;
      time.monotonicMs += 0.7;
      expect(clock.bootMs()).toBeCloseTo(time.monotonicMs, 6);
      expect(clock.bootMs()).toBeGreaterThan(last);
      last = clock.bootMs();
    }
  });

  it('counts the time that the host slept, at the first look after it', () => {
    const { time, clock } = host(1000, 1000);
    time.uptimeMs += 60_000;
    expect(clock.bootMs()).toBeGreaterThanOrEqual(60_990);
    time.uptimeMs += 30_000;
    expect(clock.bootMs()).toBeGreaterThanOrEqual(90_980);
  });

  it('counts sleep before the start of this process, and is not set back by the uptime of a container', () => {
    expect(host(50_000, 20_000).clock.bootMs()).toBe(50_000);
    const container = host(5000, 900_000);
    expect(container.clock.bootMs()).toBe(900_000);
    container.time.uptimeMs += 10_000;
    expect(container.clock.bootMs()).toBe(910_000);
  });

  it('agrees with the system', () => {
    const clock = createClock();
    expect(Math.abs(clock.bootMs() - Number(process.hrtime.bigint()) / 1e6)).toBeLessThan(10_000_000_000);
    expect(clock.bootId()).toMatch(/\S/);
  });
});

describe('addresses with prefix lengths', () => {
  const parsed = (cidr: string): ParsedCidr => {
    const value = parseCidr(cidr);
    if (value === null) throw new Error(`${cidr} was not parsed`);
    return value;
  };

  it('are parsed to their shortest form', () => {
    expect(parseCidr('10.77.0.100/24')).toEqual({ family: 'ipv4', address: '10.77.0.100', bits: 24 });
    expect(parseCidr('FD77:0:0::0100/64')).toEqual({ family: 'ipv6', address: 'fd77::100', bits: 64 });
    expect(parseCidr('fd77::1')?.bits).toBe(128);
    for (const bad of [
      '',
      '10.0.0.1/33',
      '10.0.0/8',
      'fe80::1%eth0/64',
      '10.0.0.1/24/1',
      '10.0.0.1/ 24',
      'dev eth0',
    ]) {
      expect(parseCidr(bad)).toBeNull();
    }
  });

  it('know their network and their octets', () => {
    expect(inNetwork(parsed('10.77.0.100/24'), parsed('10.77.0.1/24'))).toBe(true);
    expect(inNetwork(parsed('10.77.1.100/24'), parsed('10.77.0.1/24'))).toBe(false);
    expect(inNetwork(parsed('fd77::1:0:0:0:1/64'), parsed('fd77::1/64'))).toBe(false);
    expect(ipv6Octets('fd77::100').toString('hex')).toBe(`fd77${'0'.repeat(25)}100`);
    expect(ipv6Octets('::ffff:10.0.0.1').toString('hex')).toBe(`${'0'.repeat(20)}ffff0a000001`);
    expect(ipv6Octets('1:2:3:4:5:6:7:8').toString('hex')).toBe('00010002000300040005000600070008');
  });
});

describe('what a host lacks', () => {
  const all = {
    ip: '/sbin/ip',
    arping: '/bin/arping',
    ping: '/bin/ping',
    nsupdate: null,
    systemctl: null,
    hostname: null,
  };
  const none = { dns: false, units: false, hostname: false };

  it('is named only when it is needed, with the package that brings it', () => {
    const names = (lacks: readonly { name: string }[]) => lacks.map((lack) => lack.name);
    expect(names(findLacks(all, none))).not.toContain('nsupdate');
    expect(findLacks(all, { ...none, dns: true })).toContainEqual({
      name: 'nsupdate',
      says: "nsupdate is not installed: names can't be updated in the DNS",
      fix: 'apt-get install bind9-dnsutils',
    });
    expect(names(findLacks({ ...all, arping: null }, none))).toContain('arping');
  });

  it('ends with the installation that was advised, and begins when a program is removed', async () => {
    const installed = new Set(['ip', 'ping', 'hostname']);
    const find = (name: string) => (installed.has(name) ? `/usr/bin/${name}` : null);
    const platform = createLinuxPlatform({ find });
    const programs = async () =>
      (await platform.missing()).map(({ name }) => name).filter((name) => /^[a-z]+$/.test(name));
    expect(await programs()).toEqual(['arping']);
    installed.add('arping');
    expect(await programs()).toEqual([]);
    installed.delete('ping');
    expect(await programs()).toEqual(['ping']);
  });

  it('includes rights', () => {
    expect(effectiveCapabilities('CapPrm:\tff\nCapEff:\t0000000000003000\n')).toBe(0x3000n);
    expect(effectiveCapabilities('nothing')).toBe(0n);
  });
});

describe('services of the system', () => {
  it('are a clear failure where systemd does not run the host', async () => {
    for (const runs of ['hidden', 'nowhere'] as const) {
      expect(
        await createUnits({ systemctl: '/usr/bin/systemctl' }, () => runs).start('d3.service', 1000),
      ).toMatchObject({
        kind: 'failed',
        says: expect.stringContaining('systemd does not run this host') as string,
      });
    }
  });

  it('need no stop where systemd runs nowhere', async () => {
    const units = createUnits({ systemctl: '/usr/bin/systemctl' }, () => 'nowhere');
    expect(await units.stop('d3.service', 1000)).toEqual({ kind: 'done' });
    expect(await units.state('d3.service', 1000)).toBe('stopped');
    expect(units.stopCommands('d3.service')).toEqual([]);
  });

  it('may run where systemd is the first process, and its folder is hidden', async () => {
    const units = createUnits({ systemctl: '/usr/bin/systemctl' }, () => 'hidden');
    expect(await units.state('d3.service', 1000)).toBe('unknown');
    expect((await units.stop('--force', 1000)).kind).toBe('failed');
    expect((await units.stop('d3.service', 1000)).kind).toBe('failed');
    expect(units.stopCommands('d3.service')).toEqual([
      ['/usr/bin/systemctl', '--no-ask-password', 'stop', '--', 'd3.service'],
    ]);
  });

  it('are looked for by the folder of systemd, and by the first process', () => {
    const folder = mkdtempSync(join(tmpdir(), 'hfplat-'));
    const first = join(folder, 'comm');
    const missing = join(folder, 'missing');
    expect(systemdRuns(folder, missing)).toBe('here');
    expect(systemdRuns(missing, missing)).toBe('hidden');
    writeFileSync(first, 'systemd\n');
    expect(systemdRuns(missing, first)).toBe('hidden');
    writeFileSync(first, 'tini\n');
    expect(systemdRuns(missing, first)).toBe('nowhere');
    rmSync(folder, { recursive: true });
  });

  it('that hang are given up in time', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'hfplat-'));
    const systemctl = join(folder, 'systemctl');
    writeFileSync(
      systemctl,
      '#!/bin/sh\n[ "$1" = show ] && { echo LoadState=loaded; echo ActiveState=active; exit 0; }\nsleep 60\n',
      { mode: 0o755 },
    );
    const units = createUnits({ systemctl }, () => 'here');
    expect(await units.stop('d3.service', 200)).toMatchObject({
      kind: 'failed',
      says: expect.stringContaining('was killed') as string,
    });
    expect(await units.state('d3.service', 2000)).toBe('running');
    rmSync(folder, { recursive: true });
  });

  it('are running, stopped, failed, or on their way', () => {
    const state = (active: string, load = 'loaded') =>
      parseState(`LoadState=${load}\nActiveState=${active}\n`);
    expect([
      state('active'),
      state('inactive'),
      state('failed'),
      state('activating'),
      state('inactive', 'not-found'),
    ]).toEqual(['running', 'stopped', 'failed', 'unknown', 'unknown']);
  });
});

describe('the choice of a platform', () => {
  it('is an error value with one clear sentence where there is none', () => {
    expect(choosePlatform({}, 'win32')).toEqual({
      kind: 'unsupported',
      says: "Holdfast's Windows agent is not part of this version; run it on Linux",
    });
    expect(choosePlatform({}, 'sunos').kind).toBe('unsupported');
  });
});
