/**
 * How large etcd's database may become, and what a person does about one that is. It keeps its largest size until somebody
 * defragments it; at the quota it raises an alarm, and takes no write until the alarm is taken back
 * (etcd.io, "Space quota").
 */

export const quotaBytes = 512 * 1024 * 1024;

/** Above this part of it somebody should look. */
export const quotaPart = 0.5;

const steps = 'docs/operations.md, "A full etcd"';

export const defragment = (member: string): string => `on ${member}: etcdctl defrag (${steps})`;

export const takeAlarmBack = `on each member that votes: etcdctl defrag; then once: etcdctl alarm disarm (${steps})`;

/** What etcd says to a write then (api/v3rpc/rpctypes/error.go). */
export function saysFull(details: string): boolean {
  return details.includes('database space exceeded');
}
