/**
 * The time rules: how long a proof of life lasts, and how long others wait.
 *
 * All times are milliseconds of boot time (monotonic, counts suspend). With `s` the moment just before a
 * renewal that was later confirmed was sent, on the owner's clock:
 *
 *   T1  a renewal that has no answer by s + attempt is worthless
 *   T2  the owner starts to fence at s + fence unless a later renewal was confirmed
 *   T3  the fence is complete by s + fence + stop
 *   T4  nobody else acts until `wait` after they last saw the renewal change, on their own clock
 *
 * Clocks run wrong by at most rho, so (fence + stop)(1 + rho) < wait (1 - rho) keeps two owners apart.
 */

/** Largest error of a clock's rate that the rules allow for. */
export const rho = 0.01;

/** The time rules of one group, all in milliseconds. */
export interface TimeRules {
  /** A server silent for this long is down. */
  readonly outageMs: number;
  /** From this much silence on a server is shown as suspect: 25 % of the outage. */
  readonly suspectMs: number;
  /** Period of heartbeats on every path. */
  readonly heartbeatMs: number;
  /** R: period of renewals. */
  readonly renewMs: number;
  /** q: deadline of one renewal attempt. */
  readonly attemptMs: number;
  /** F: the owner starts to fence this long after its last proven renewal. */
  readonly fenceMs: number;
  /** S: time the fence may take. */
  readonly stopMs: number;
  /** G: others wait this long after the renewal last changed. */
  readonly waitMs: number;
}

export type TimeRulesResult =
  | { readonly kind: 'ok'; readonly rules: TimeRules }
  | { readonly kind: 'too-short'; readonly smallestMs: number; readonly reason: string };

const referenceOutageMs = 35_000;
/** A commit through Raft on a busy disk; a shorter deadline would fence healthy owners. */
const attemptMsMin = 150;
const renewMsMin = 250;
/** The kernel counts address lifetimes in whole seconds and rounds: two seconds and the fuzz. */
const stopMsMin = 2_050;
/** The kernel may drop an address this much early (ADDRCONF_TIMER_FUZZ_MINUS). */
const kernelFuzzMs = 20;

/**
 * Derives the time rules of a group from its outage. From 35 s on they are the reference values; shorter outages
 * scale them down as far as the kernel's whole seconds and a Raft commit allow.
 */
export function deriveTimeRules(outageMs: number): TimeRulesResult {
  const rules = scale(outageMs);
  const broken = brokenRule(rules);
  if (broken === null) return { kind: 'ok', rules };
  return { kind: 'too-short', smallestMs: smallestOutageMs(), reason: broken };
}

/** Of every group from the reference outage on, and of whoever serves none. */
export const slowestPace: Pick<TimeRules, 'heartbeatMs' | 'renewMs' | 'attemptMs'> = {
  heartbeatMs: 1_000,
  renewMs: 3_000,
  attemptMs: 2_000,
};

function scale(outageMs: number): TimeRules {
  const k = Math.min(1, outageMs / referenceOutageMs);
  const renewMs = Math.max(renewMsMin, Math.round(slowestPace.renewMs * k));
  const attemptMs = Math.max(attemptMsMin, Math.round(slowestPace.attemptMs * k));
  const fenceMs = Math.max(Math.round(10_000 * k), renewMs + 2 * attemptMs + 50);
  const stopMs = Math.max(Math.round(6_000 * k), stopMsMin);
  const waitMs = Math.max(
    Math.round(20_000 * k),
    Math.ceil(((fenceMs + stopMs) * (1 + rho)) / (1 - rho)) + 10,
  );
  return {
    outageMs,
    suspectMs: Math.round(outageMs / 4),
    heartbeatMs: Math.min(slowestPace.heartbeatMs, Math.max(100, Math.round(outageMs / 12))),
    renewMs,
    attemptMs,
    fenceMs,
    stopMs,
    waitMs,
  };
}

/** Names the first rule that does not hold, or null when all do. */
export function brokenRule(r: TimeRules): string | null {
  if (!(r.renewMs + 2 * r.attemptMs < r.fenceMs)) return 'R + 2q < F does not hold';
  if (!((r.fenceMs + r.stopMs) * (1 + rho) < r.waitMs * (1 - rho)))
    return '(F + S)(1 + rho) < G(1 - rho) does not hold';
  if (!(r.waitMs <= r.outageMs)) return 'G <= outage does not hold';
  if (!kernelKeepsUntilFence(r)) return 'the kernel would drop addresses before the fence deadline';
  return null;
}

/** An address set at any moment up to s + q must stay until s + F, with the kernel's rounding. */
function kernelKeepsUntilFence(r: TimeRules): boolean {
  const totalMs = r.fenceMs + r.stopMs;
  const worst = [0, r.attemptMs, (totalMs % 1_000) + 1].filter((d) => d <= r.attemptMs);
  return worst.every((d) => {
    const seconds = kernelLifetimeSeconds(totalMs - d);
    return seconds !== null && d + seconds * 1_000 - kernelFuzzMs >= r.fenceMs;
  });
}

/**
 * The kernel lifetime of an address that must be gone in `remainingMs`: whole seconds, less one because the kernel
 * may run up to a second late. Null when less than a full second would be left: then the address must not be set.
 */
export function kernelLifetimeSeconds(remainingMs: number): number | null {
  const seconds = Math.floor(remainingMs / 1_000) - 1;
  return seconds >= 1 ? seconds : null;
}

function smallestOutageMs(): number {
  let outageMs = 500;
  while (brokenRule(scale(outageMs)) !== null) outageMs += 100;
  return outageMs;
}

/**
 * The longest countdown of a watchdog that is petted no more at s + F + S: the host is reset before anybody may have taken
 * over, at the earliest an outage after it was last heard.
 */
export function watchdogMsMax({ outageMs, fenceMs, stopMs }: TimeRules): number {
  return Math.floor(outageMs * (1 - rho) - (fenceMs + stopMs) * (1 + rho));
}
