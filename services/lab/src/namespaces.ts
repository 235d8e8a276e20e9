// The namespaces of a lab. One process, the anchor, holds those of the switch (and, for an ordinary user, the user namespace in
// which everything else is allowed); one process per powered-on host, its holder, holds that host's network, name and mounts.
// Namespaces have no name in the file system: they vanish with their last process.
// Sources: unshare(1), nsenter(1), user_namespaces(7), network_namespaces(7), mount_namespaces(7).
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { resolve as resolvePath } from 'node:path';
import { environment, isErrno, isInstalled } from './command.ts';
import { LabError } from './error.ts';
import { identityOf, isAlive, type ProcessIdentity } from './process.ts';
import type { HostState, LabState } from './state.ts';

const readyMsMax = 10_000;
const programs = [
  'ip',
  'tc',
  'unshare',
  'nsenter',
  'mount',
  'hostname',
  'sh',
  'sleep',
  'grep',
  'stat',
] as const;

/** Throws LabError when a program that the lab needs is not installed. */
export function needPrograms(): void {
  const missing = programs.filter((program) => !isInstalled(program));
  if (missing.length === 0) return;
  throw new LabError({
    what: 'cannot make a lab on this machine',
    says: `missing ${missing.join(', ')}`,
    fix: 'Install the packages iproute2, util-linux, hostname, grep and coreutils.',
  });
}

// The mark is a file system mounted where nobody looks: every process of the lab shows it in its mount table, and nothing
// short of leaving the mount namespace takes it off. "ready" tells that the namespaces are complete; then the shell
// becomes a sleep that costs nothing.
const anchorScript = `set -e
mount -t tmpfs -o size=4k,mode=755 "$1switch" /proc/fs
hostname switch
ip link set lo up
if [ -d /proc/sys/net/ipv6 ]; then echo ipv6; fi
echo ready
exec sleep infinity </dev/null >/dev/null 2>&1`;

// $1 mark, $2 name, $3 folder of the host's private files, $4 "hide" to hide /run; then pairs of folders, the first to be
// mounted over the second
const hostScript = `set -e
mount -t tmpfs -o size=4k,mode=755 "$1$2:" /proc/fs
hostname "$2"
if [ "$4" = hide ]; then mount -t tmpfs -o mode=755 run /run; mkdir -p /run/lock; fi
mount --bind "$3/hosts" /etc/hosts
if [ -f /etc/machine-id ]; then mount --bind "$3/machine-id" /etc/machine-id; fi
if mount --bind "$3/boot_id" /proc/sys/kernel/random/boot_id 2>/dev/null; then echo boot_id; fi
# The machine's /sys shows the machine's interfaces, not those of the host.
if ! mount -t sysfs sysfs /sys 2>/dev/null; then echo no-sysfs; fi
shift 4
while [ $# -ge 2 ]; do mount --bind "$1" "$2"; shift 2; done
ip link set lo up
if [ -d /proc/sys/net/ipv6 ]; then
  # Duplicate address detection would keep a new address unusable for a second.
  for key in all/accept_dad default/accept_dad all/accept_ra default/accept_ra; do
    if [ -w "/proc/sys/net/ipv6/conf/$key" ]; then echo 0 >"/proc/sys/net/ipv6/conf/$key"; fi
  done
fi
echo ready
exec sleep infinity </dev/null >/dev/null 2>&1`;

export interface Holder {
  readonly who: ProcessIdentity;
  /** The words the script said before it was ready. */
  readonly said: readonly string[];
}

/**
 * Starts the anchor; as an ordinary user, and as a root that may not (in a container), within a user namespace.
 * Throws LabError, which tells how to allow it, when namespaces are refused.
 */
export async function startAnchor(
  mark: string,
): Promise<{ readonly anchor: Holder; readonly rootless: boolean }> {
  const what = 'cannot create the namespaces of the lab';
  const script = ['--mount', '--net', '--uts', 'sh', '-c', anchorScript, 'holdfast-lab', mark];
  const asUser = (): Promise<Holder> =>
    hold(['unshare', '--user', '--map-root-user', ...script], what, namespaceFix);
  if (process.geteuid?.() !== 0) return { anchor: await asUser(), rootless: true };
  try {
    return { anchor: await hold(['unshare', ...script], what, rootFix), rootless: false };
  } catch (refused) {
    try {
      return { anchor: await asUser(), rootless: true };
    } catch (error) {
      if (error instanceof LabError) throw refused; // root's own refusal is the one to mend
      throw error;
    }
  }
}

const rootFix = (): string =>
  'Even root may not create namespaces here: give the container CAP_SYS_ADMIN and CAP_NET_ADMIN, or use a virtual machine.';

/** `own`: what is to be mounted over which folder of the machine. */
export function startHolder(
  state: LabState,
  mark: string,
  name: string,
  folder: string,
  own: readonly { readonly from: string; readonly over: string }[],
): Promise<Holder> {
  const script = [
    'sh',
    '-c',
    hostScript,
    'holdfast-lab',
    mark,
    name,
    folder,
    state.hideRun ? 'hide' : 'show',
    ...own.flatMap(({ from, over }) => [from, over]),
  ];
  return hold(
    [...intoSwitch(state), 'unshare', '--mount', '--net', '--uts', ...script],
    `cannot power on host ${name}`,
    () => 'Remove the lab (lab down) and make it again (lab up).',
  );
}

/** The words that run a program in the switch's namespaces. Throws LabError when its anchor is gone. */
export function intoSwitch(state: LabState): [string, ...string[]] {
  if (!isAlive(state.anchor))
    throw new LabError({
      what: 'the lab is in ruins',
      says: `its anchor process ${state.anchor.pid} is gone`,
      fix: 'Remove what is left with: holdfast lab down',
    });
  return enter(state, state.anchor, process.cwd());
}

/** The words that run a program on a host. Throws LabError when its power is off. */
export function intoHost(
  state: LabState,
  host: HostState,
  cwd: string = process.cwd(),
): [string, ...string[]] {
  if (host.holder === null)
    throw new LabError({
      what: `nothing can run on host ${host.name}`,
      says: 'its power is off',
      fix: `Power it on with: holdfast lab fault power-on ${host.name}`,
    });
  if (!isAlive(host.holder))
    throw new LabError({
      what: `nothing can run on host ${host.name}`,
      says: `its holder process ${host.holder.pid} is gone`,
      fix: `Power it off and on again with: holdfast lab fault power-off ${host.name}`,
    });
  return enter(state, host.holder, cwd);
}

function enter(state: LabState, who: ProcessIdentity, cwd: string): [string, ...string[]] {
  const user = state.rootless ? ['--user', '--preserve-credentials'] : [];
  return [
    'nsenter',
    `--target=${who.pid}`,
    ...user,
    '--mount',
    '--net',
    '--uts',
    `--wd=${resolvePath(cwd)}`,
    '--',
  ];
}

/** Starts a holder and waits until it says that it is ready. It outlives this process. */
function hold(argv: readonly string[], what: string, fix: (says: string) => string): Promise<Holder> {
  const [program = '', ...args] = argv;
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      detached: true,
      env: environment(),
      cwd: '/',
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let out = '';
    let err = '';
    const fail = (says: string): void => {
      clearTimeout(limit);
      child.kill('SIGKILL');
      reject(new LabError({ what, says, fix: fix(says) }));
    };
    const limit = setTimeout(() => fail(`not ready after ${readyMsMax} ms`), readyMsMax);
    child.on('error', (error) => fail(error.message));
    child.on('close', (code) => fail(err.trim() || `it ended with status ${code ?? 'of a signal'}`));
    child.stderr.setEncoding('utf8').on('data', (text: string) => (err = (err + text).slice(-4096)));
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out = (out + text).slice(-4096);
      if (!/^ready$/m.test(out)) return;
      clearTimeout(limit);
      const who = child.pid === undefined ? undefined : identityOf(child.pid);
      if (who === undefined) {
        fail('it ended as soon as it was ready');
        return;
      }
      child.removeAllListeners('close');
      child.stdout.destroy();
      child.stderr.destroy();
      child.unref();
      resolve({ who, said: out.split('\n').filter((word) => word !== '' && word !== 'ready') });
    });
  });
}

/** What a person can do when namespaces are refused, from what this kernel says about itself. */
function namespaceFix(says: string): string {
  const switches: readonly (readonly [string, string, string])[] = [
    ['/proc/sys/kernel/unprivileged_userns_clone', '0', 'sysctl kernel.unprivileged_userns_clone=1'],
    [
      '/proc/sys/kernel/apparmor_restrict_unprivileged_userns',
      '1',
      'sysctl kernel.apparmor_restrict_unprivileged_userns=0',
    ],
    ['/proc/sys/user/max_user_namespaces', '0', 'sysctl user.max_user_namespaces=1000'],
  ];
  const commands = switches.filter(([file, bad]) => readSwitch(file) === bad).map(([, , command]) => command);
  // ENOSPC: the limit is not 0, but used up.
  if (commands.length === 0 && says.includes('No space left'))
    commands.push('sysctl user.max_user_namespaces=10000');
  if (commands.length === 0)
    return 'Unprivileged user namespaces are refused here (a container?): run the lab as root, or in a virtual machine.';
  return `Allow unprivileged user namespaces, as root: ${commands.join(' && ')}; or run the lab as root.`;
}

function readSwitch(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return undefined; // this kernel has no such switch
    throw error;
  }
}
