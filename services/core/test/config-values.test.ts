import fc from 'fast-check';
import {
  formatDuration,
  formatRate,
  formatSize,
  formatWindow,
  isInWindow,
  nearest,
  parseAddress,
  parseCidr,
  parseDuration,
  parseRate,
  parseSize,
  parseWindow,
} from '../src/config/index.ts';
import { unusable } from '../src/config/address.ts';

describe('durations', () => {
  it.each<[unknown, number]>([
    ['35s', 35_000],
    ['500ms', 500],
    ['1.5h', 5_400_000],
    ['0s', 0],
    ['2m', 120_000],
  ])('%p is %p ms', (text, ms) => {
    expect(parseDuration(text)).toEqual({ kind: 'ok', value: ms });
  });

  it.each<[unknown, string]>([
    ['5', '"5" has no unit; write 5s'],
    [5, '"5" has no unit; write 5s'],
    ['5 s', '"5 s" is not a duration; write 5s'],
    ['5 seconds', '"5 seconds" is not a duration; write 5s'],
    ['5S', '"5S" is not a duration; write 5s'],
    ['2d', '"2d" is not a duration; write 48h'],
    ['5 fortnights', '"5 fortnights" has an unknown unit; write a number with ms, s, m or h, such as 30s'],
    ['-5s', '"-5s" is not a duration; write a number with ms, s, m or h, such as 30s'],
    ['1h30m', '"1h30m" is not a duration; write a number with ms, s, m or h, such as 30s'],
    ['0.5ms', '"0.5ms" is too precise; write a whole number of a smaller unit'],
    ['999999999999999h', '"999999999999999h" is too large; write a number with ms, s, m or h, such as 30s'],
    [true, 'true is not a duration; write a number with ms, s, m or h, such as 30s'],
  ])('%p is refused', (text, reason) => {
    expect(parseDuration(text)).toEqual({ kind: 'invalid', reason });
  });

  it('read back as they were printed', () => {
    fc.assert(
      fc.property(fc.nat({ max: 10 ** 12 }), (ms) => {
        expect(parseDuration(formatDuration(ms))).toEqual({ kind: 'ok', value: ms });
      }),
    );
    expect([0, 35_000, 1_500, 90_000, 7_200_000].map(formatDuration)).toEqual([
      '0s',
      '35s',
      '1500ms',
      '90s',
      '2h',
    ]);
  });
});

describe('sizes and rates', () => {
  it('have units of 1000 and of 1024', () => {
    expect(parseSize('100MiB')).toEqual({ kind: 'ok', value: 104_857_600 });
    expect(parseSize('2GB')).toEqual({ kind: 'ok', value: 2e9 });
    expect(parseRate('100Mbit')).toEqual({ kind: 'ok', value: 1e8 });
    expect([formatSize(2 ** 30), formatSize(2e9), formatSize(5), formatRate(1e8)]).toEqual([
      '1GiB',
      '2GB',
      '5 bytes',
      '100Mbit',
    ]);
  });

  it.each([
    [parseSize('100'), '"100" has no unit; write 100MiB'],
    [parseSize('100M'), '"100M" is not a size; write 100MiB'],
    [parseSize('1TiB'), '"1TiB" is not a size; write 1024GiB'],
    [parseSize('5kb'), '"5kb" is not a size; write 5KB'],
    [parseRate('100Mbps'), '"100Mbps" is not a rate; write 100Mbit'],
    [parseRate('1000Gbit'), '"1000Gbit" is out of range; write a rate from 1Kbit to 999Gbit'],
  ])('%p explains itself', (parsed, reason) => {
    expect(parsed).toEqual({ kind: 'invalid', reason });
  });
});

describe('addresses', () => {
  it.each([
    ['10.77.0.100/24', '10.77.0.100/24'],
    ['10.0.0.0/31', '10.0.0.0/31'],
    ['10.0.0.255/32', '10.0.0.255/32'],
    ['10.0.0.255/16', '10.0.0.255/16'],
    ['2001:DB8:0:0:1:0:0:1/64', '2001:db8::1:0:0:1/64'],
    ['fd00::10.0.0.1/64', 'fd00::a00:1/64'],
    ['1:2:3:4:5:6::8/64', '1:2:3:4:5:6:0:8/64'],
  ])('%s is good', (text, canonical) => {
    const parsed = parseCidr(text);
    if (parsed.kind === 'invalid') throw new Error(parsed.reason);
    expect(`${parsed.value.address.text}/${parsed.value.prefix}`).toBe(canonical);
    expect(unusable(parsed.value)).toBeNull();
  });

  it.each([
    ['10.77.0.100', 'has no prefix length; write 10.77.0.100/24'],
    ['fd00::1', 'has no prefix length; write fd00::1/64'],
    ['10.77.0.100/33', 'wrong prefix length; write 1 to 32'],
    ['10.77.0.100/0', 'wrong prefix length'],
    ['10.77.0.100/024', 'wrong prefix length'],
    ['10.77.0.010/24', 'not an address'],
    ['10.77.0.256/24', 'not an address'],
    ['10.77.0/24', 'not an address'],
    ['fe80::1%eth0/64', 'not an address'],
    ['1::2::3/64', 'not an address'],
    ['1:2:3:4:5:6:7:8:9/64', 'not an address'],
    ['1:2:3:4:5:6:7::8/64', 'not an address'],
    [':::/64', 'not an address'],
  ])('%s is not written well', (text, says) => {
    const parsed = parseCidr(text);
    expect(parsed.kind === 'invalid' ? parsed.reason : 'accepted').toContain(says);
  });

  it.each([
    ['10.77.0.0/24', 'network itself'],
    ['10.77.0.255/24', 'broadcast'],
    ['224.0.0.1/24', 'multicast'],
    ['127.0.0.2/8', 'loopback'],
    ['169.254.1.1/16', 'link-local'],
    ['255.255.255.255/32', 'reserved'],
    ['0.1.2.3/8', 'this network'],
    ['::1/128', 'loopback'],
    ['::/64', 'unspecified'],
    ['ff02::1/64', 'multicast'],
    ['fe80::1/64', 'link-local'],
    ['fd00::/64', 'anycast'],
    ['::ffff:10.0.0.1/120', 'IPv4 address written as IPv6'],
  ])('%s cannot serve clients', (text, says) => {
    const parsed = parseCidr(text);
    expect(parsed.kind === 'ok' ? unusable(parsed.value) : parsed.reason).toContain(says);
  });

  it('print in a form that reads back the same', () => {
    fc.assert(
      fc.property(fc.oneof(fc.ipV4(), fc.ipV6()), (text) => {
        const once = parseAddress(text);
        if (once.kind === 'invalid') throw new Error(once.reason);
        expect(parseAddress(once.value.text)).toEqual(once);
      }),
    );
  });
});

describe('failback windows', () => {
  it.each([
    ['Mon-Fri 01:00-05:00', 'Mon,Tue,Wed,Thu,Fri 01:00-05:00'],
    ['22:00-24:00', 'daily 22:00-24:00'],
    ['daily 01:00-02:00', 'daily 01:00-02:00'],
    ['sat,SUN 00:00-06:30', 'Sun,Sat 00:00-06:30'],
    ['Fri-Mon 01:00-05:00', 'Sun,Mon,Fri,Sat 01:00-05:00'],
  ])('%s', (text, canonical) => {
    const parsed = parseWindow(text);
    expect(parsed.kind === 'ok' ? formatWindow(parsed.value) : parsed.reason).toBe(canonical);
  });

  it.each([
    '',
    'Mon',
    '1:00-5:00',
    '01:00-25:00',
    '01:60-02:00',
    '24:00-01:00',
    '05:00-05:00',
    'Mon-Tue-Wed 01:00-02:00',
    'Xyz 01:00-02:00',
  ])('%p is refused', (text) => {
    expect(parseWindow(text).kind).toBe('invalid');
  });

  it('may pass midnight, and then belong to the day on which they begin', () => {
    const window = { days: [6], fromMinute: 23 * 60, toMinute: 60 };
    expect(isInWindow(window, 6, 23 * 60)).toBe(true);
    expect(isInWindow(window, 0, 59)).toBe(true);
    expect(isInWindow(window, 0, 60)).toBe(false);
    expect(isInWindow(window, 6, 30)).toBe(false);
  });
});

describe('the nearest word', () => {
  it.each([
    ['outtage', 'outage'],
    ['Server', 'servers'],
    ['zzz', null],
  ])('to %s is %s', (word, found) => {
    expect(nearest(word, ['servers', 'outage', 'takeover'])).toBe(found);
  });
});
